"""What differs between environments, read from variables that begin with FREIGHT_."""

from __future__ import annotations

from functools import cached_property

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import URL

__all__ = ["settings"]


class Settings(BaseSettings):
    """Addresses of the services around us, our secrets, and a few limits."""

    model_config = SettingsConfigDict(env_prefix="FREIGHT_")

    database_host: str = "127.0.0.1"
    database_port: int = 5432
    database_name: str = "freight"
    database_user: str = "postgres"
    database_password: SecretStr = SecretStr("")

    redis_url: str = "redis://127.0.0.1:6379/0"
    redis_prefix: str = "freight"
    broker_url: str = "amqp://guest:guest@127.0.0.1:5672//"
    task_queue: str = "freight"

    smtp_host: str = "127.0.0.1"
    smtp_port: int = 1025
    mail_from: str = "desk@freight.example"

    carrier_url: str = "http://127.0.0.1:8100"
    carrier_key: SecretStr = SecretStr("carrier-development-key")
    webhook_secret: SecretStr = SecretStr("webhook-development-secret")
    cookie_secret: SecretStr = SecretStr("cookie-development-secret")

    session_ttl_s: int = 8 * 3600
    requests_per_minute: int = 600
    quotes_per_minute: int = 4

    @cached_property
    def sync_dsn(self) -> URL:
        """For psycopg 3."""
        return self._dsn("postgresql+psycopg")

    @cached_property
    def async_dsn(self) -> URL:
        """For asyncpg."""
        return self._dsn("postgresql+asyncpg")

    def _dsn(self, driver: str) -> URL:
        return URL.create(
            driver,
            username=self.database_user,
            password=self.database_password.get_secret_value() or None,
            host=self.database_host,
            port=self.database_port,
            database=self.database_name,
        )


settings = Settings()
