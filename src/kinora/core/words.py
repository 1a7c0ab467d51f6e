"""How people say each value of each slot, in English and Chinese.

English actions and camera moves stand in the third person singular; `plural` and `participle` give their other forms.
A value without words (no direction, no backdrop, no event) is not talked about.
"""

from __future__ import annotations

from kinora.core.errors import InputError

__all__ = ["LANGUAGES", "WORDS", "all_wordings", "participle", "plural", "wordings"]

LANGUAGES = ("en", "zh")

Words = dict[str, dict[str, tuple[str, ...]]]

_COLOURS_EN = {
    "red": ("red", "scarlet", "crimson"),
    "orange": ("orange", "tangerine"),
    "yellow": ("yellow", "lemon-yellow"),
    "green": ("green", "emerald"),
    "cyan": ("cyan", "turquoise", "teal"),
    "blue": ("blue", "azure"),
    "purple": ("purple", "violet"),
    "pink": ("pink", "rosy"),
    "white": ("white",),
    "black": ("black",),
    "grey": ("grey", "gray"),
    "brown": ("brown", "chestnut"),
}
_COLOURS_ZH = {
    "red": ("红色", "红", "鲜红色"),
    "orange": ("橙色", "橘色", "橘黄色"),
    "yellow": ("黄色", "明黄色"),
    "green": ("绿色", "翠绿色"),
    "cyan": ("青色", "青绿色"),
    "blue": ("蓝色", "湛蓝色"),
    "purple": ("紫色", "紫罗兰色"),
    "pink": ("粉色", "粉红色"),
    "white": ("白色", "雪白色"),
    "black": ("黑色", "漆黑色"),
    "grey": ("灰色",),
    "brown": ("棕色", "褐色", "咖啡色"),
}
_DIRECTIONS_EN = {
    "none": (),
    "left": ("to the left", "towards the left", "leftwards", "from right to left"),
    "right": ("to the right", "towards the right", "rightwards", "from left to right"),
    "toward": ("toward the camera", "towards the camera", "toward the viewer", "towards us"),
    "away": ("away from the camera", "away from the viewer", "away from us", "into the distance"),
}
_DIRECTIONS_ZH = {
    "none": (),
    "left": ("向左", "往左", "向左边", "朝左边", "从右向左"),
    "right": ("向右", "往右", "向右边", "朝右边", "从左向右"),
    "toward": ("朝镜头", "向镜头", "迎着镜头", "朝我们"),
    "away": ("远离镜头", "向远处", "往远处", "朝远方"),
}

ENGLISH: Words = {
    "body.colour": _COLOURS_EN,
    "body.shape": {
        "sphere": ("ball", "sphere", "orb"),
        "cube": ("cube", "box", "block"),
        "cylinder": ("cylinder", "drum", "barrel"),
        "cone": ("cone", "pointed cone"),
    },
    "body.size": {
        "small": ("small", "little", "tiny"),
        "medium": ("medium-sized", "mid-sized", "medium"),
        "large": ("large", "big", "huge"),
    },
    "body.material": {
        "matte": ("matte", "dull"),
        "shiny": ("shiny", "glossy", "polished"),
        "metal": ("metal", "metallic", "steel"),
        "glass": ("glass", "transparent", "see-through"),
        "glowing": ("glowing", "luminous", "radiant"),
    },
    "body.action": {
        "rest": ("rests", "stands still", "sits still", "stays still", "does not move", "stays put"),
        "roll": ("rolls", "rolls along"),
        "slide": ("slides", "glides", "slides along"),
        "fall": ("falls", "falls down", "drops", "falls to the ground", "drops to the ground"),
        "bounce": ("bounces", "bounces up and down", "keeps bouncing"),
        "fly": ("flies", "flies through the air", "flies in an arc", "is thrown through the air"),
        "float": ("floats", "drifts", "bobs"),
    },
    "body.direction": _DIRECTIONS_EN,
    "body.speed": {
        "slow": ("slowly", "gently", "at a slow pace", "unhurriedly"),
        "fast": ("quickly", "fast", "rapidly", "at high speed", "swiftly"),
    },
    "figure.hair": {
        "black": ("black", "jet-black"),
        "brown": ("brown", "brunette"),
        "yellow": ("blond", "yellow", "golden"),
        "red": ("red", "ginger"),
        "white": ("white", "snow-white"),
    },
    "figure.clothes": _COLOURS_EN,
    "figure.action": {
        "stand": ("stands", "stands there", "is standing", "stands still"),
        "walk": ("walks", "strolls", "walks along"),
        "jump": ("jumps", "jumps up and down", "hops", "leaps into the air"),
        "turn": ("turns around", "turns in a circle", "spins around"),
        "nod": ("nods", "nods in agreement"),
        "smile": ("smiles", "starts to smile"),
        "speak": ("speaks", "talks", "is talking", "says something"),
    },
    "figure.direction": _DIRECTIONS_EN,
    "ground": {
        "checker": ("on a checkered floor", "on a chequered floor", "on a checkerboard", "on checkered tiles"),
        "sand": ("on the sand", "on a sandy beach", "in the desert", "on sandy ground"),
        "grass": ("on the grass", "on a lawn", "in a meadow", "on a grassy field"),
        "snow": ("on the snow", "in the snow", "on snowy ground", "on a snowfield"),
        "water": ("on the water", "on a lake", "in the water", "on the sea"),
        "wood": ("on a wooden floor", "on the floorboards", "on wooden planks", "on a parquet floor"),
    },
    "sky": {
        "day": ("in the daytime", "on a sunny day", "under a clear sky", "in bright daylight", "under a blue sky"),
        "sunset": ("at sunset", "at dusk", "in the evening light", "under a sunset sky"),
        "night": ("at night", "under the stars", "in the moonlight", "under a starry sky"),
        "overcast": ("on a cloudy day", "under an overcast sky", "under a cloudy sky", "on an overcast day"),
    },
    "camera": {
        "still": ("is still", "does not move", "stays still", "is fixed", "is static"),
        "pan_left": ("pans left", "pans to the left"),
        "pan_right": ("pans right", "pans to the right"),
        "tilt_up": ("tilts up", "tilts upward", "looks up"),
        "tilt_down": ("tilts down", "tilts downward", "looks down"),
        "roll_clockwise": ("rolls clockwise", "rotates clockwise", "turns clockwise"),
        "roll_counterclockwise": ("rolls counterclockwise", "rotates counterclockwise", "turns anticlockwise"),
        "zoom_in": ("zooms in", "is zooming in"),
        "zoom_out": ("zooms out", "is zooming out"),
        "dolly_in": ("moves forward", "dollies in", "pushes in", "moves closer"),
        "dolly_out": ("moves back", "dollies out", "pulls back", "moves backward"),
        "orbit_left": ("orbits to the left", "circles to the left", "orbits left"),
        "orbit_right": ("orbits to the right", "circles to the right", "orbits right"),
    },
    "camera_speed": {
        "slow": ("slowly", "gently", "gradually"),
        "fast": ("quickly", "fast", "rapidly", "swiftly"),
    },
    "backdrop": {
        "none": (),
        "leaves": (
            "a wall of scattered shapes",
            "a wall covered with confetti",
            "a wall of overlapping paper cuttings",
        ),
        "noise": ("a marbled wall", "a wall with a cloudy pattern", "a mottled wall"),
        "gradient": (
            "a wall that fades from one colour to another",
            "a wall with a colour gradient",
            "a gradient wall",
        ),
        "stripes": ("a striped wall", "a wall with stripes", "a wall painted in stripes"),
        "glyphs": ("a wall covered with letters", "a wall of signs", "a wall with writing"),
    },
    "event": {
        "none": (),
        "collision": ("collide", "bump into each other", "crash into each other", "hit each other", "knock together"),
    },
}

CHINESE: Words = {
    "body.colour": _COLOURS_ZH,
    "body.shape": {
        "sphere": ("球", "圆球", "球体"),
        "cube": ("立方体", "方块", "正方体", "箱子"),
        "cylinder": ("圆柱", "圆柱体", "圆桶"),
        "cone": ("圆锥", "圆锥体", "锥体"),
    },
    "body.size": {
        "small": ("小", "小小的", "很小的", "小号的"),
        "medium": ("中等大小的", "中号的", "不大不小的"),
        "large": ("大", "大大的", "很大的", "大号的", "巨大的"),
    },
    "body.material": {
        "matte": ("哑光", "磨砂"),
        "shiny": ("光滑", "闪亮", "亮面"),
        "metal": ("金属", "钢制", "铁"),
        "glass": ("玻璃", "透明"),
        "glowing": ("发光", "会发光的"),
    },
    "body.action": {
        "rest": ("静止不动", "一动不动", "停着不动", "静静地待着"),
        "roll": ("滚动", "滚"),
        "slide": ("滑动", "滑行", "滑"),
        "fall": ("落下", "掉下来", "落到地上", "从空中掉落", "坠落"),
        "bounce": ("弹跳", "上下弹跳", "蹦跳", "不停地弹起"),
        "fly": ("飞过空中", "飞出一道弧线", "飞", "划过空中"),
        "float": ("漂浮", "浮动", "漂", "浮"),
    },
    "body.direction": _DIRECTIONS_ZH,
    "body.speed": {
        "slow": ("慢慢地", "缓缓地", "缓慢地", "慢悠悠地", "慢慢"),
        "fast": ("快速地", "飞快地", "迅速地", "很快地", "快速"),
    },
    "figure.hair": {
        "black": ("黑色", "黑", "乌黑"),
        "brown": ("棕色", "褐色", "棕"),
        "yellow": ("金色", "黄色", "金黄色"),
        "red": ("红色", "红"),
        "white": ("白色", "白", "雪白"),
    },
    "figure.clothes": _COLOURS_ZH,
    "figure.action": {
        "stand": ("站着", "站在那里", "站立", "静静地站着"),
        "walk": ("走", "行走", "走路", "散步"),
        "jump": ("跳", "跳跃", "跳起来", "蹦跳"),
        "turn": ("转身", "转圈", "原地转动"),
        "nod": ("点头", "点点头"),
        "smile": ("微笑", "露出笑容", "笑起来"),
        "speak": ("说话", "讲话", "说着话"),
    },
    "figure.direction": _DIRECTIONS_ZH,
    "ground": {
        "checker": ("棋盘格地面上", "格子地板上", "棋盘地砖上", "方格地面上"),
        "sand": ("沙地上", "沙滩上", "沙漠里"),
        "grass": ("草地上", "草坪上", "草原上"),
        "snow": ("雪地上", "雪地里", "积雪上"),
        "water": ("水面上", "湖面上", "水上", "海面上"),
        "wood": ("木地板上", "木板上", "木质地面上"),
    },
    "sky": {
        "day": ("白天", "晴天", "阳光下", "蓝天下", "晴朗的天空下"),
        "sunset": ("日落时分", "夕阳下", "黄昏", "傍晚"),
        "night": ("夜晚", "夜里", "月光下", "星空下"),
        "overcast": ("阴天", "多云的天空下", "阴沉的天空下", "乌云下"),
    },
    "camera": {
        "still": ("静止", "不动", "固定", "保持不动"),
        "pan_left": ("向左摇", "左摇", "往左摇"),
        "pan_right": ("向右摇", "右摇", "往右摇"),
        "tilt_up": ("向上摇", "上仰", "向上仰"),
        "tilt_down": ("向下摇", "下俯", "向下俯"),
        "roll_clockwise": ("顺时针旋转", "顺时针转动"),
        "roll_counterclockwise": ("逆时针旋转", "逆时针转动"),
        "zoom_in": ("变焦放大", "变焦拉近", "放大画面"),
        "zoom_out": ("变焦缩小", "变焦拉远", "缩小画面"),
        "dolly_in": ("向前推进", "向前移动", "前移", "推近"),
        "dolly_out": ("向后移动", "后退", "向后退", "后移"),
        "orbit_left": ("向左环绕", "向左绕行", "往左环绕"),
        "orbit_right": ("向右环绕", "向右绕行", "往右环绕"),
    },
    "camera_speed": {
        "slow": ("缓慢", "慢慢", "缓缓", "慢慢地"),
        "fast": ("快速", "迅速", "飞快地", "快速地"),
    },
    "backdrop": {
        "none": (),
        "leaves": ("一面贴满碎纸片的墙", "一面布满杂乱图形的墙", "一面纸片拼贴的墙"),
        "noise": ("一面大理石花纹的墙", "一面云状花纹的墙", "一面斑驳的墙"),
        "gradient": ("一面渐变色的墙", "一面颜色渐变的墙"),
        "stripes": ("一面条纹墙", "一面有条纹的墙"),
        "glyphs": ("一面写满文字的墙", "一面布满符号的墙", "一面有字的墙"),
    },
    "event": {
        "none": (),
        "collision": ("相撞", "撞在一起", "撞到一起", "发生碰撞", "互相碰撞"),
    },
}

WORDS: dict[str, Words] = {"en": ENGLISH, "zh": CHINESE}
"""Language -> slot by its full name -> value -> the ways to say it, the plainest first."""

_FORMS = {
    # Third person singular: plural, participle ("" drops the word).
    "is": ("are", ""),
    "does": ("do", ""),
    "rests": ("rest", "resting"),
    "stands": ("stand", "standing"),
    "sits": ("sit", "sitting"),
    "stays": ("stay", "staying"),
    "rolls": ("roll", "rolling"),
    "slides": ("slide", "sliding"),
    "glides": ("glide", "gliding"),
    "falls": ("fall", "falling"),
    "drops": ("drop", "dropping"),
    "bounces": ("bounce", "bouncing"),
    "keeps": ("keep", ""),
    "flies": ("fly", "flying"),
    "floats": ("float", "floating"),
    "drifts": ("drift", "drifting"),
    "bobs": ("bob", "bobbing"),
    "walks": ("walk", "walking"),
    "strolls": ("stroll", "strolling"),
    "jumps": ("jump", "jumping"),
    "hops": ("hop", "hopping"),
    "leaps": ("leap", "leaping"),
    "turns": ("turn", "turning"),
    "spins": ("spin", "spinning"),
    "nods": ("nod", "nodding"),
    "smiles": ("smile", "smiling"),
    "starts": ("start", "starting"),
    "speaks": ("speak", "speaking"),
    "talks": ("talk", "talking"),
    "says": ("say", "saying"),
}


def plural(verb: str) -> str:
    """The form for several: "rolls along" -> "roll along"."""
    first, _, rest = verb.partition(" ")
    return f"{_FORMS[first][0]} {rest}".strip()


def participle(verb: str) -> str:
    """The form after a noun: "rolls along" -> "rolling along"; "does not move" -> "not moving"."""
    if verb == "does not move":
        return "not moving"
    first, _, rest = verb.partition(" ")
    return f"{_FORMS[first][1]} {rest}".strip()


def wordings(slot: str, value: str, language: str) -> tuple[str, ...]:
    """Every way to say a slot's value, in all its forms; empty for a value that is not talked about.

    Raises `InputError` for a language, slot or value that does not exist.
    """
    try:
        words = WORDS[language][slot][value]
    except KeyError as error:
        raise InputError(
            f"There are no words for {slot} = {value!r} in {language!r}; see docs/vocabulary.md for what can be said."
        ) from error
    if language != "en" or not slot.endswith(".action"):
        return words
    forms = [form for verb in words for form in (verb, plural(verb), participle(verb))]
    return tuple(dict.fromkeys(forms))


def all_wordings() -> tuple[str, ...]:
    """Every wording of every value in both languages, without repeats, in a fixed order."""
    found: dict[str, None] = {}
    for language in LANGUAGES:
        for slot, values in WORDS[language].items():
            for value in values:
                found.update(dict.fromkeys(wordings(slot, value, language)))
    return tuple(found)
