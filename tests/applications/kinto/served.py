"""Kinto under FluxRun: its own application, its storage and permissions in PostgreSQL, its cache in Redis."""

import warnings

import pytest_fluxrun as fluxrun

fluxrun.init(project="kinto")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its dependencies' own, of the packages that they are made with
    import kinto

DATABASE = "postgresql://postgres@127.0.0.1:5432/fluxrun_kinto"
SETTINGS = {
    "kinto.storage_backend": "kinto.core.storage.postgresql",
    "kinto.storage_url": DATABASE,
    "kinto.permission_backend": "kinto.core.permission.postgresql",
    "kinto.permission_url": DATABASE,
    "kinto.cache_backend": "kinto.core.cache.redis",
    "kinto.cache_url": "redis://127.0.0.1:6379/9",
    "kinto.cache_prefix": "fluxrun:",
    "kinto.includes": "kinto.plugins.accounts kinto.plugins.history kinto.plugins.flush",
    "kinto.userid_hmac_secret": "a-key-of-the-tests-alone",
    "kinto.account_create_principals": "system.Everyone",
    "kinto.bucket_create_principals": "system.Authenticated",
    "multiauth.policies": "account",
    "multiauth.policy.account.use": "kinto.plugins.accounts.authentication.AccountsAuthenticationPolicy",
    "kinto.paginate_by": "5",
    "kinto.project_name": "kinto",
    "kinto.flush_endpoint_enabled": "true",
}
application = fluxrun.instrument(kinto.main({}, **SETTINGS))
