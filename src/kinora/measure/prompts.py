"""Sentences for the gallery, with their seeds: some in the world's own words, most of them what a stranger might type.

They were written before any clip was seen and are never exchanged for ones that come out better.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FREE", "IN_GRAMMAR", "GalleryPrompt"]


@dataclass(frozen=True, kw_only=True)
class GalleryPrompt:
    """A sentence and the seed its clip is made with."""

    text: str
    seed: int


def _numbered(texts: tuple[str, ...], first_seed: int) -> tuple[GalleryPrompt, ...]:
    return tuple(GalleryPrompt(text=text, seed=first_seed + index) for index, text in enumerate(texts))


IN_GRAMMAR = _numbered(
    (
        "A red sphere rolls to the right on a checkered floor, daytime.",
        "A large blue metal cube rests on the sand at sunset.",
        "A small yellow ball bounces on the snow under an overcast sky.",
        "A green glass sphere rolls slowly to the left on a wooden floor while the camera stands still.",
        "A shiny purple cylinder slides quickly to the right across the checkered floor.",
        "An orange cone and a white cube rest on the grass in daylight.",
        "A glowing cyan sphere floats on the water at night.",
        "A red ball rolls to the right and hits a blue cube on a wooden floor.",
        "A toy person with black hair and green clothes walks to the left on the grass.",
        "A toy person with yellow hair in a red shirt stands on the snow and speaks.",
        "一个红色的球在木地板上向右滚动。",
        "夜晚，一个发光的黄色方块静静地放在雪地上。",
        "一个大的蓝色金属球从空中落到沙地上。",
        "日落时分，一个绿色的圆柱在棋盘格地面上快速向左滑动。",
        "阴天，两个球放在草地上：一个是紫色的，一个是橙色的。",
        "镜头慢慢推近，一个白色的圆锥立在棋盘格地面上。",
        "一个棕色头发、穿蓝色衣服的小人在草地上跳。",
        "一个粉色的玻璃球漂在水面上，白天。",
        "镜头向左摇，一个红色的方块静止在沙地上。",
        "一个小的黑色球在木地板上弹跳，背后是一面条纹墙。",
    ),
    first_seed=100,
)
"""Ten English and ten Chinese sentences that say only what the world knows."""

FREE = _numbered(
    (
        "An apple tumbling off a kitchen table.",
        "My cat chases a red ball of yarn across the carpet.",
        "A lonely astronaut waves goodbye on the moon.",
        "The sun goes down over a quiet desert and nothing moves.",
        "A soap bubble drifting over a lake, dreamy, cinematic, 4k.",
        "Two billiard balls collide in slow motion.",
        "A traffic cone in the middle of a frozen field.",
        "A golden coin spins and falls over.",
        "Somebody's birthday: a girl in a pink dress laughs and jumps.",
        "A dragon made of fire above the mountains.",
        "Drone shot flying toward a black monolith at dawn.",
        "An ice cube melts on a wooden counter.",
        "A basketball dribbling under stadium lights.",
        "The blue marble rolled away from me as fast as it could.",
        "Rain on a window, a bus passes by.",
        "一只橘猫趴在窗台上晒太阳。",
        "一颗流星划过夜空，落进大海。",
        "小男孩穿着绿色外套，在雪地里一边走一边笑。",
        "一个西瓜从桌子上滚下来摔碎了。",
        "月光下的湖面上漂着一盏灯笼。",
        "足球被踢出去，越过守门员飞向球门。",
        "一座金字塔矗立在黄沙之中，航拍。",
        "一辆红色的跑车在高速公路上飞驰。",
        "妈妈对着镜头点点头，说了几句话。",
        "水晶球里下着雪，慢慢旋转。",
        "一个气球越飞越高，最后看不见了。",
        "黑白棋盘上，一枚棋子被推到了对面。",
        "两个好朋友面对面站着聊天，秋天，落叶。",
        "金属的圆筒倒在地上，发出一声巨响。",
        "宇宙飞船穿过虫洞，时间静止了。",
    ),
    first_seed=200,
)
"""Fifteen English and fifteen Chinese sentences from outside the caption grammar, most with words no caption has."""
