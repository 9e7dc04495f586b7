"""Where an S3 bucket is and how to speak to it: Loki's `storage_config.aws` and `common.storage.s3`."""

from typing import Annotated, Literal
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from log_aggregator.model.quantity import Duration
from log_aggregator.model.section import Section

_MILLISECOND_NS = 1_000_000
_SECOND_NS = 1_000_000_000


class SseSettings(Section):
    """Server-side encryption."""

    type: Literal["", "SSE-S3", "SSE-KMS"] = ""
    kms_key_id: str = ""
    kms_encryption_context: str = ""  # JSON


class HttpSettings(Section):
    """Durations of zero mean no such limit of our own; the client's remains."""

    timeout: Duration = 0  # for one request with its answer
    idle_conn_timeout: Duration = 90 * _SECOND_NS
    response_header_timeout: Duration = 0
    insecure_skip_verify: bool = False
    ca_file: str = ""


class BackoffSettings(Section):
    """`max_retries` counts all attempts, as in Loki; with 0 only the deadline of an operation ends them."""

    min_period: Duration = 100 * _MILLISECOND_NS
    max_period: Duration = 3 * _SECOND_NS
    max_retries: int = Field(default=5, ge=0)


_StorageClass = Literal[
    "GLACIER",
    "DEEP_ARCHIVE",
    "GLACIER_IR",
    "INTELLIGENT_TIERING",
    "ONEZONE_IA",
    "OUTPOSTS",
    "REDUCED_REDUNDANCY",
    "STANDARD",
    "STANDARD_IA",
]
StorageClass = Annotated[_StorageClass, BeforeValidator(lambda value: "STANDARD" if value == "" else value)]
"""Empty, as the second spelling has it where nothing is set, is the store's own."""


def _path_style_of(value: object) -> object:
    return {"path": True, "virtual-hosted": False, "auto": False}.get(value, value) if isinstance(value, str) else value


PathStyle = Annotated[bool, BeforeValidator(_path_style_of)]
"""Also in the words of `bucket_lookup_type`, the second spelling's key."""


def _readable_url(url: SecretStr) -> SecretStr:
    """The message repeats nothing of the URL, which may hold a secret."""
    try:
        urlsplit(url.get_secret_value())
    except ValueError:
        raise ValueError("not a URL") from None
    return url


class S3Settings(Section):
    """What stands in the URL `s3` is the default for the other keys.

    Without an access key, credentials come from the environment: variables, profile, web identity or instance role.
    """

    s3: Annotated[SecretStr, AfterValidator(_readable_url)] = SecretStr("")
    bucketnames: str = ""
    endpoint: str = ""
    region: str = ""
    access_key_id: str = ""
    secret_access_key: SecretStr = SecretStr("")
    session_token: SecretStr = SecretStr("")
    insecure: bool = False
    s3forcepathstyle: PathStyle = False
    signature_version: Literal["v4"] = "v4"
    storage_class: StorageClass = "STANDARD"
    sse: SseSettings = SseSettings()
    http_config: HttpSettings = HttpSettings()
    backoff_config: BackoffSettings = BackoffSettings()

    @property
    def problem(self) -> str:
        """Why this can be no store, "" if it can. Files whose store is another have blocks that say little."""
        if not self.bucket:
            return "at least one bucket name must be specified"
        if "," in self.bucket:
            return "bucketnames: only one bucket is supported"
        if bool(self.access_key) != bool(self.secret_key.get_secret_value()):
            return "must supply both an Access Key ID and Secret Access Key or neither"
        return ""

    @property
    def bucket(self) -> str:
        return self.bucketnames or self._url.path.lstrip("/")

    @property
    def endpoint_url(self) -> str | None:
        """None means AWS's own endpoint for the region."""
        if "://" in self.endpoint:
            return self.endpoint
        if self.endpoint:
            return f"{'http' if self.insecure else 'https'}://{self.endpoint}"
        if not self._url_has_endpoint:
            return None
        # As in Loki, s3:// with a host means unencrypted HTTP.
        scheme = self._url.scheme if self._url.scheme in ("http", "https") else "http"
        return f"{scheme}://{self._url_host}"

    @property
    def region_name(self) -> str | None:
        """None leaves it to the environment."""
        return self.region or (None if self._url_has_endpoint else self._url_host) or None

    @property
    def access_key(self) -> str:
        return self.access_key_id or unquote(self._url.username or "")

    @property
    def secret_key(self) -> SecretStr:
        if self.secret_access_key.get_secret_value():
            return self.secret_access_key
        return SecretStr(unquote(self._url.password or ""))

    @property
    def _url(self) -> SplitResult:
        return urlsplit(self.s3.get_secret_value())

    @property
    def _url_host(self) -> str:
        """Without the credentials, with the port."""
        return self._url.netloc.rpartition("@")[2]

    @property
    def _url_has_endpoint(self) -> bool:
        """A host without dots or port is a region of AWS."""
        return "." in self._url_host or ":" in self._url_host
