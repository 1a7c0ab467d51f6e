"""Settings: environment variables that begin with `KINORA_`, with defaults for one machine and nothing beside it."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["Settings"]


def _home() -> Path:
    return Path.home() / ".local" / "share" / "kinora" / "service"


class Settings(BaseSettings):
    """Everything an operator may choose. Each field is read from `KINORA_` and its name in capitals."""

    model_config = SettingsConfigDict(env_prefix="KINORA_", extra="ignore", frozen=True)

    data: Path = Field(default_factory=_home, description="Folder of the database, files and secrets of one machine.")
    database: str = Field(default="", description="SQLAlchemy URL; empty: SQLite in the data folder.")
    objects: str = Field(default="", description="Where files lie: empty (data folder), a path, or s3://bucket/prefix.")
    secret: str = Field(default="", description="Seals secrets at rest; empty: made once and kept in the data folder.")

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8190, description="Port to listen on; 0 takes a free one.")
    public_url: str = Field(default="", description="How clients reach the service, for links; empty: as they asked.")
    workers: int = Field(
        default=1, description="Worker processes that `kinora serve` starts; 0 where hosts of their own work."
    )
    serves: str = Field(
        default="tiny", description="Models to serve, by name, separated by commas; the first is the default."
    )
    device: str = Field(default="", description="Device of the models: cpu, cuda, cuda:1; empty chooses.")

    lease_seconds: float = Field(default=20.0, description="A worker that is not heard of for so long is dead.")
    beat_seconds: float = Field(default=2.0, description="How often a worker is heard of.")
    poll_seconds: float = Field(default=0.2, description="How often a worker looks for tasks.")
    stall_seconds: float = Field(default=120.0, description="A model that makes no step for so long is taken for hung.")
    save_steps: int = Field(default=5, description="Latents are saved every so many denoising steps.")
    grace_seconds: float = Field(default=30.0, description="How long running tasks may go on after SIGTERM.")
    attempts: int = Field(default=3, description="Times a task may lose its worker before it is set aside.")

    retention_days: float = Field(default=30.0, description="Outputs and uploads are deleted after so many days.")
    link_seconds: int = Field(default=86_400, description="How long a signed link to a file is good.")
    requests_per_minute: int = Field(
        default=0, description="Requests of one account in a minute, whatever its plan allows; 0: as its plan allows."
    )
    open_accounts: bool = Field(default=False, description="Whether anyone may make an account.")

    upload_bytes: int = Field(default=200 * 2**20, description="Largest file taken.")
    image_pixels: int = Field(default=40_000_000, description="Largest picture taken.")
    loopback: bool = Field(
        default=False, description="Whether user-given URLs may lead to this machine (tests, development)."
    )
    moderation: str = Field(
        default="words", description="Content rules: words (the shipped lists), none, or module:function."
    )
    unlabelled: str = Field(default="", description="Plans whose outputs carry no visible label, separated by commas.")
    producer: str = Field(default="Kinora", description="Who made it, in the AIGC field and the credentials.")
    certificate: Path | None = Field(
        default=None, description="PEM chain that signs credentials; empty: an own authority."
    )
    certificate_key: Path | None = Field(default=None, description="Its private key.")

    @property
    def model_names(self) -> tuple[str, ...]:
        """The models served, the default first."""
        return tuple(name.strip() for name in self.serves.split(",") if name.strip())

    def labels(self, plan: str) -> bool:
        """Whether outputs of a plan's accounts carry the visible label."""
        return plan not in {name.strip() for name in self.unlabelled.split(",")}

    @property
    def database_url(self) -> str:
        """The database's URL; for Postgres with the driver that is installed."""
        if not self.database:
            return f"sqlite:///{self.data / 'kinora.db'}"
        for short in ("postgres://", "postgresql://"):
            if self.database.startswith(short):
                return "postgresql+psycopg://" + self.database.removeprefix(short)
        return self.database
