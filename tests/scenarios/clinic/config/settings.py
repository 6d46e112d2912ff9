"""Settings of the clinic's back office; what differs between machines comes from the environment."""

import os
from pathlib import Path

BASE_DIR = Path(__file__).parents[1]
SECRET_KEY = os.environ.get("CLINIC_SECRET_KEY", "only-for-development")
DEBUG = False
ALLOWED_HOSTS = ["*"]

FLUXRUN = {"name": "backoffice"}

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "accounts",
    "care",
    "booking",
    "billing",
]

MIDDLEWARE = [
    "pytest_fluxrun.entries.django.FluxRunMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "config.api.JsonErrors",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "accounts.middleware.ApiKeyMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.middleware.KeyOwnerMiddleware",
    "accounts.middleware.RateLimitMiddleware",
    "accounts.middleware.TimeZoneMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ.get("CLINIC_DB_NAME", "clinic"),
        "USER": os.environ.get("CLINIC_DB_USER", "postgres"),
        "PASSWORD": os.environ.get("CLINIC_DB_PASSWORD", ""),
        "HOST": os.environ.get("CLINIC_DB_HOST", "127.0.0.1"),
        "PORT": os.environ.get("CLINIC_DB_PORT", "5432"),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"application_name": "clinic", "connect_timeout": 5},
    },
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = os.environ.get("CLINIC_REDIS_URL", "redis://127.0.0.1:6379/9")
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": os.environ.get("CLINIC_KEY_PREFIX", "clinic"),
        "TIMEOUT": 300,
    },
}
SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"

AUTH_USER_MODEL = "accounts.User"
LOGIN_URL = "/login"
LOGIN_REDIRECT_URL = "/day/"
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.ScryptPasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
]

LANGUAGE_CODE = "en"
TIME_ZONE = "Europe/Berlin"
USE_TZ = True
STATIC_URL = "/static/"

EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
EMAIL_HOST = os.environ.get("CLINIC_SMTP_HOST", "127.0.0.1")
EMAIL_PORT = int(os.environ.get("CLINIC_SMTP_PORT", "25"))
EMAIL_TIMEOUT = 5
ADMINS = [("Operations", "operations@clinic.example")]
DEFAULT_FROM_EMAIL = "Clinic <no-reply@clinic.example>"

CELERY_BROKER_URL = os.environ.get("CLINIC_AMQP_URL", "amqp://guest:guest@127.0.0.1:5672//")
CELERY_RESULT_BACKEND = REDIS_URL
CELERY_RESULT_EXPIRES = 3600
CELERY_RESULT_EXTENDED = True
CELERY_TASK_DEFAULT_QUEUE = os.environ.get("CLINIC_QUEUE", "clinic")
CELERY_TASK_SERIALIZER = "json"
CELERY_TASK_PUBLISH_RETRY = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_REDIS_RETRY_ON_TIMEOUT = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False

BLOB_URL = os.environ.get("CLINIC_BLOB_URL", "http://127.0.0.1:9000/blobs")
UPSTREAM_TIMEOUT_S = 5
RATE_LIMITS = {"/api/lookup": 8, "/api/": 2000}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": os.environ.get("CLINIC_LOG_LEVEL", "WARNING")},
}
