import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.rpc import status_pb2 as _status_pb2
from prism.v1 import attach_pb2 as _attach_pb2
from prism.v1 import filter_pb2 as _filter_pb2
from prism.v1 import value_pb2 as _value_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DeliverySemantics(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DELIVERY_SEMANTICS_UNSPECIFIED: _ClassVar[DeliverySemantics]
    AT_MOST_ONCE: _ClassVar[DeliverySemantics]
    AT_LEAST_ONCE: _ClassVar[DeliverySemantics]
    EXACTLY_ONCE: _ClassVar[DeliverySemantics]
DELIVERY_SEMANTICS_UNSPECIFIED: DeliverySemantics
AT_MOST_ONCE: DeliverySemantics
AT_LEAST_ONCE: DeliverySemantics
EXACTLY_ONCE: DeliverySemantics

class RegisterRequest(_message.Message):
    __slots__ = ("identity", "metadata", "ttl_seconds", "replace", "namespace", "metadata_json")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _value_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_value_pb2.Value, _Mapping]] = ...) -> None: ...
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    TTL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    REPLACE_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    METADATA_JSON_FIELD_NUMBER: _ClassVar[int]
    identity: str
    metadata: _containers.MessageMap[str, _value_pb2.Value]
    ttl_seconds: int
    replace: bool
    namespace: str
    metadata_json: bytes
    def __init__(self, identity: _Optional[str] = ..., metadata: _Optional[_Mapping[str, _value_pb2.Value]] = ..., ttl_seconds: _Optional[int] = ..., replace: _Optional[bool] = ..., namespace: _Optional[str] = ..., metadata_json: _Optional[bytes] = ...) -> None: ...

class RegisterResponse(_message.Message):
    __slots__ = ("success", "error", "registered_at", "expires_at", "registration_id", "revision")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    REGISTERED_AT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    REGISTRATION_ID_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    success: bool
    error: str
    registered_at: _timestamp_pb2.Timestamp
    expires_at: _timestamp_pb2.Timestamp
    registration_id: str
    revision: int
    def __init__(self, success: _Optional[bool] = ..., error: _Optional[str] = ..., registered_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., registration_id: _Optional[str] = ..., revision: _Optional[int] = ...) -> None: ...

class RegisterManyRequest(_message.Message):
    __slots__ = ("identities", "metadata_json", "ttl_seconds", "replace", "ttls_seconds", "namespace")
    IDENTITIES_FIELD_NUMBER: _ClassVar[int]
    METADATA_JSON_FIELD_NUMBER: _ClassVar[int]
    TTL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    REPLACE_FIELD_NUMBER: _ClassVar[int]
    TTLS_SECONDS_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    identities: _containers.RepeatedScalarFieldContainer[str]
    metadata_json: _containers.RepeatedScalarFieldContainer[bytes]
    ttl_seconds: int
    replace: bool
    ttls_seconds: _containers.RepeatedScalarFieldContainer[int]
    namespace: str
    def __init__(self, identities: _Optional[_Iterable[str]] = ..., metadata_json: _Optional[_Iterable[bytes]] = ..., ttl_seconds: _Optional[int] = ..., replace: _Optional[bool] = ..., ttls_seconds: _Optional[_Iterable[int]] = ..., namespace: _Optional[str] = ...) -> None: ...

class RegisterManyResponse(_message.Message):
    __slots__ = ("registration_ids", "revisions", "registered_at_us", "expires_at_us", "errors")
    REGISTRATION_IDS_FIELD_NUMBER: _ClassVar[int]
    REVISIONS_FIELD_NUMBER: _ClassVar[int]
    REGISTERED_AT_US_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_US_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    registration_ids: _containers.RepeatedScalarFieldContainer[str]
    revisions: _containers.RepeatedScalarFieldContainer[int]
    registered_at_us: _containers.RepeatedScalarFieldContainer[int]
    expires_at_us: _containers.RepeatedScalarFieldContainer[int]
    errors: _containers.RepeatedCompositeFieldContainer[ItemError]
    def __init__(self, registration_ids: _Optional[_Iterable[str]] = ..., revisions: _Optional[_Iterable[int]] = ..., registered_at_us: _Optional[_Iterable[int]] = ..., expires_at_us: _Optional[_Iterable[int]] = ..., errors: _Optional[_Iterable[_Union[ItemError, _Mapping]]] = ...) -> None: ...

class ItemError(_message.Message):
    __slots__ = ("index", "status")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    index: int
    status: _status_pb2.Status
    def __init__(self, index: _Optional[int] = ..., status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class GetRequest(_message.Message):
    __slots__ = ("identities", "namespace", "columnar")
    IDENTITIES_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    COLUMNAR_FIELD_NUMBER: _ClassVar[int]
    identities: _containers.RepeatedScalarFieldContainer[str]
    namespace: str
    columnar: bool
    def __init__(self, identities: _Optional[_Iterable[str]] = ..., namespace: _Optional[str] = ..., columnar: _Optional[bool] = ...) -> None: ...

class GetResponse(_message.Message):
    __slots__ = ("found", "page")
    FOUND_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    found: _containers.RepeatedCompositeFieldContainer[Identity]
    page: IdentityPage
    def __init__(self, found: _Optional[_Iterable[_Union[Identity, _Mapping]]] = ..., page: _Optional[_Union[IdentityPage, _Mapping]] = ...) -> None: ...

class EnumerateRequest(_message.Message):
    __slots__ = ("filter", "pagination", "include_metadata", "sort_by", "namespace")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    PAGINATION_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_METADATA_FIELD_NUMBER: _ClassVar[int]
    SORT_BY_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    filter: _filter_pb2.Filter
    pagination: Pagination
    include_metadata: bool
    sort_by: _containers.RepeatedScalarFieldContainer[str]
    namespace: str
    def __init__(self, filter: _Optional[_Union[_filter_pb2.Filter, _Mapping]] = ..., pagination: _Optional[_Union[Pagination, _Mapping]] = ..., include_metadata: _Optional[bool] = ..., sort_by: _Optional[_Iterable[str]] = ..., namespace: _Optional[str] = ...) -> None: ...

class Pagination(_message.Message):
    __slots__ = ("limit", "offset", "cursor")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    limit: int
    offset: int
    cursor: str
    def __init__(self, limit: _Optional[int] = ..., offset: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class EnumerateResponse(_message.Message):
    __slots__ = ("identities", "total_count", "next_cursor")
    IDENTITIES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_COUNT_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    identities: _containers.RepeatedCompositeFieldContainer[Identity]
    total_count: int
    next_cursor: str
    def __init__(self, identities: _Optional[_Iterable[_Union[Identity, _Mapping]]] = ..., total_count: _Optional[int] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class Identity(_message.Message):
    __slots__ = ("identity", "metadata", "registered_at", "expires_at", "revision", "updated_at", "attached")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _value_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_value_pb2.Value, _Mapping]] = ...) -> None: ...
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    REGISTERED_AT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    ATTACHED_FIELD_NUMBER: _ClassVar[int]
    identity: str
    metadata: _containers.MessageMap[str, _value_pb2.Value]
    registered_at: _timestamp_pb2.Timestamp
    expires_at: _timestamp_pb2.Timestamp
    revision: int
    updated_at: _timestamp_pb2.Timestamp
    attached: bool
    def __init__(self, identity: _Optional[str] = ..., metadata: _Optional[_Mapping[str, _value_pb2.Value]] = ..., registered_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., revision: _Optional[int] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., attached: _Optional[bool] = ...) -> None: ...

class IdentityPage(_message.Message):
    __slots__ = ("identities", "metadata_json", "registered_at_us", "updated_at_us", "expires_at_us", "revisions", "attached", "next_cursor")
    IDENTITIES_FIELD_NUMBER: _ClassVar[int]
    METADATA_JSON_FIELD_NUMBER: _ClassVar[int]
    REGISTERED_AT_US_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_US_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_US_FIELD_NUMBER: _ClassVar[int]
    REVISIONS_FIELD_NUMBER: _ClassVar[int]
    ATTACHED_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    identities: _containers.RepeatedScalarFieldContainer[str]
    metadata_json: _containers.RepeatedScalarFieldContainer[bytes]
    registered_at_us: _containers.RepeatedScalarFieldContainer[int]
    updated_at_us: _containers.RepeatedScalarFieldContainer[int]
    expires_at_us: _containers.RepeatedScalarFieldContainer[int]
    revisions: _containers.RepeatedScalarFieldContainer[int]
    attached: _containers.RepeatedScalarFieldContainer[bool]
    next_cursor: str
    def __init__(self, identities: _Optional[_Iterable[str]] = ..., metadata_json: _Optional[_Iterable[bytes]] = ..., registered_at_us: _Optional[_Iterable[int]] = ..., updated_at_us: _Optional[_Iterable[int]] = ..., expires_at_us: _Optional[_Iterable[int]] = ..., revisions: _Optional[_Iterable[int]] = ..., attached: _Optional[_Iterable[bool]] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class CountRequest(_message.Message):
    __slots__ = ("filter", "namespace")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    filter: _filter_pb2.Filter
    namespace: str
    def __init__(self, filter: _Optional[_Union[_filter_pb2.Filter, _Mapping]] = ..., namespace: _Optional[str] = ...) -> None: ...

class CountResponse(_message.Message):
    __slots__ = ("count",)
    COUNT_FIELD_NUMBER: _ClassVar[int]
    count: int
    def __init__(self, count: _Optional[int] = ...) -> None: ...

class ExplainResponse(_message.Message):
    __slots__ = ("registry", "parts", "residual", "exact", "backend_plan")
    class Part(_message.Message):
        __slots__ = ("filter", "support")
        FILTER_FIELD_NUMBER: _ClassVar[int]
        SUPPORT_FIELD_NUMBER: _ClassVar[int]
        filter: str
        support: str
        def __init__(self, filter: _Optional[str] = ..., support: _Optional[str] = ...) -> None: ...
    REGISTRY_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    RESIDUAL_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    BACKEND_PLAN_FIELD_NUMBER: _ClassVar[int]
    registry: str
    parts: _containers.RepeatedCompositeFieldContainer[ExplainResponse.Part]
    residual: str
    exact: bool
    backend_plan: str
    def __init__(self, registry: _Optional[str] = ..., parts: _Optional[_Iterable[_Union[ExplainResponse.Part, _Mapping]]] = ..., residual: _Optional[str] = ..., exact: _Optional[bool] = ..., backend_plan: _Optional[str] = ...) -> None: ...

class MulticastRequest(_message.Message):
    __slots__ = ("filter", "payload", "content_type", "delivery", "timeout_ms", "namespace", "message_id", "message_ttl_seconds", "columnar")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_TTL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    COLUMNAR_FIELD_NUMBER: _ClassVar[int]
    filter: _filter_pb2.Filter
    payload: bytes
    content_type: str
    delivery: DeliverySemantics
    timeout_ms: int
    namespace: str
    message_id: str
    message_ttl_seconds: int
    columnar: bool
    def __init__(self, filter: _Optional[_Union[_filter_pb2.Filter, _Mapping]] = ..., payload: _Optional[bytes] = ..., content_type: _Optional[str] = ..., delivery: _Optional[_Union[DeliverySemantics, str]] = ..., timeout_ms: _Optional[int] = ..., namespace: _Optional[str] = ..., message_id: _Optional[str] = ..., message_ttl_seconds: _Optional[int] = ..., columnar: _Optional[bool] = ...) -> None: ...

class MulticastResponse(_message.Message):
    __slots__ = ("target_count", "delivered_count", "statuses", "message_id", "pending_count", "failed_count", "timeout_count", "columns", "next_offset", "statuses_truncated")
    TARGET_COUNT_FIELD_NUMBER: _ClassVar[int]
    DELIVERED_COUNT_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    PENDING_COUNT_FIELD_NUMBER: _ClassVar[int]
    FAILED_COUNT_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_COUNT_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    NEXT_OFFSET_FIELD_NUMBER: _ClassVar[int]
    STATUSES_TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    target_count: int
    delivered_count: int
    statuses: _containers.RepeatedCompositeFieldContainer[DeliveryStatus]
    message_id: str
    pending_count: int
    failed_count: int
    timeout_count: int
    columns: StatusColumns
    next_offset: int
    statuses_truncated: bool
    def __init__(self, target_count: _Optional[int] = ..., delivered_count: _Optional[int] = ..., statuses: _Optional[_Iterable[_Union[DeliveryStatus, _Mapping]]] = ..., message_id: _Optional[str] = ..., pending_count: _Optional[int] = ..., failed_count: _Optional[int] = ..., timeout_count: _Optional[int] = ..., columns: _Optional[_Union[StatusColumns, _Mapping]] = ..., next_offset: _Optional[int] = ..., statuses_truncated: _Optional[bool] = ...) -> None: ...

class DeliveryStatus(_message.Message):
    __slots__ = ("identity", "status", "error")
    class Status(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        UNSPECIFIED: _ClassVar[DeliveryStatus.Status]
        DELIVERED: _ClassVar[DeliveryStatus.Status]
        PENDING: _ClassVar[DeliveryStatus.Status]
        FAILED: _ClassVar[DeliveryStatus.Status]
        TIMEOUT: _ClassVar[DeliveryStatus.Status]
    UNSPECIFIED: DeliveryStatus.Status
    DELIVERED: DeliveryStatus.Status
    PENDING: DeliveryStatus.Status
    FAILED: DeliveryStatus.Status
    TIMEOUT: DeliveryStatus.Status
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    identity: str
    status: DeliveryStatus.Status
    error: str
    def __init__(self, identity: _Optional[str] = ..., status: _Optional[_Union[DeliveryStatus.Status, str]] = ..., error: _Optional[str] = ...) -> None: ...

class StatusColumns(_message.Message):
    __slots__ = ("identities", "statuses", "reason_index", "reasons")
    IDENTITIES_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    REASON_INDEX_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    identities: _containers.RepeatedScalarFieldContainer[str]
    statuses: bytes
    reason_index: _containers.RepeatedScalarFieldContainer[int]
    reasons: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, identities: _Optional[_Iterable[str]] = ..., statuses: _Optional[bytes] = ..., reason_index: _Optional[_Iterable[int]] = ..., reasons: _Optional[_Iterable[str]] = ...) -> None: ...

class GetMulticastRequest(_message.Message):
    __slots__ = ("message_id", "offset", "namespace", "columnar")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    COLUMNAR_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    offset: int
    namespace: str
    columnar: bool
    def __init__(self, message_id: _Optional[str] = ..., offset: _Optional[int] = ..., namespace: _Optional[str] = ..., columnar: _Optional[bool] = ...) -> None: ...

class ListDeadLettersRequest(_message.Message):
    __slots__ = ("identity", "limit", "namespace")
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    identity: str
    limit: int
    namespace: str
    def __init__(self, identity: _Optional[str] = ..., limit: _Optional[int] = ..., namespace: _Optional[str] = ...) -> None: ...

class DeadLetterPage(_message.Message):
    __slots__ = ("dead_letters",)
    DEAD_LETTERS_FIELD_NUMBER: _ClassVar[int]
    dead_letters: _containers.RepeatedCompositeFieldContainer[DeadLetter]
    def __init__(self, dead_letters: _Optional[_Iterable[_Union[DeadLetter, _Mapping]]] = ...) -> None: ...

class DeadLetter(_message.Message):
    __slots__ = ("message", "attempts", "died_at_us", "reason")
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    DIED_AT_US_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    message: _attach_pb2.DeliveredMessage
    attempts: int
    died_at_us: int
    reason: str
    def __init__(self, message: _Optional[_Union[_attach_pb2.DeliveredMessage, _Mapping]] = ..., attempts: _Optional[int] = ..., died_at_us: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class ReplayDeadLettersRequest(_message.Message):
    __slots__ = ("identity", "message_ids", "namespace")
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_IDS_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    identity: str
    message_ids: _containers.RepeatedScalarFieldContainer[str]
    namespace: str
    def __init__(self, identity: _Optional[str] = ..., message_ids: _Optional[_Iterable[str]] = ..., namespace: _Optional[str] = ...) -> None: ...

class ReplayDeadLettersResponse(_message.Message):
    __slots__ = ("replayed",)
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    replayed: int
    def __init__(self, replayed: _Optional[int] = ...) -> None: ...

class UnregisterRequest(_message.Message):
    __slots__ = ("identity", "namespace", "registration_id")
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    REGISTRATION_ID_FIELD_NUMBER: _ClassVar[int]
    identity: str
    namespace: str
    registration_id: str
    def __init__(self, identity: _Optional[str] = ..., namespace: _Optional[str] = ..., registration_id: _Optional[str] = ...) -> None: ...

class UnregisterResponse(_message.Message):
    __slots__ = ("success", "error", "removed")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    success: bool
    error: str
    removed: bool
    def __init__(self, success: _Optional[bool] = ..., error: _Optional[str] = ..., removed: _Optional[bool] = ...) -> None: ...

class UnregisterManyRequest(_message.Message):
    __slots__ = ("identities", "registration_ids", "namespace")
    IDENTITIES_FIELD_NUMBER: _ClassVar[int]
    REGISTRATION_IDS_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    identities: _containers.RepeatedScalarFieldContainer[str]
    registration_ids: _containers.RepeatedScalarFieldContainer[str]
    namespace: str
    def __init__(self, identities: _Optional[_Iterable[str]] = ..., registration_ids: _Optional[_Iterable[str]] = ..., namespace: _Optional[str] = ...) -> None: ...

class UnregisterManyResponse(_message.Message):
    __slots__ = ("removed", "errors")
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    removed: _containers.RepeatedScalarFieldContainer[bool]
    errors: _containers.RepeatedCompositeFieldContainer[ItemError]
    def __init__(self, removed: _Optional[_Iterable[bool]] = ..., errors: _Optional[_Iterable[_Union[ItemError, _Mapping]]] = ...) -> None: ...

class HeartbeatRequest(_message.Message):
    __slots__ = ("identities", "registration_ids", "ttl_seconds", "namespace")
    IDENTITIES_FIELD_NUMBER: _ClassVar[int]
    REGISTRATION_IDS_FIELD_NUMBER: _ClassVar[int]
    TTL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    identities: _containers.RepeatedScalarFieldContainer[str]
    registration_ids: _containers.RepeatedScalarFieldContainer[str]
    ttl_seconds: int
    namespace: str
    def __init__(self, identities: _Optional[_Iterable[str]] = ..., registration_ids: _Optional[_Iterable[str]] = ..., ttl_seconds: _Optional[int] = ..., namespace: _Optional[str] = ...) -> None: ...

class HeartbeatResponse(_message.Message):
    __slots__ = ("expires_at_us", "errors")
    EXPIRES_AT_US_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    expires_at_us: _containers.RepeatedScalarFieldContainer[int]
    errors: _containers.RepeatedCompositeFieldContainer[ItemError]
    def __init__(self, expires_at_us: _Optional[_Iterable[int]] = ..., errors: _Optional[_Iterable[_Union[ItemError, _Mapping]]] = ...) -> None: ...

class UpdateRequest(_message.Message):
    __slots__ = ("identity", "patch", "revision", "namespace", "patch_json")
    class PatchEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _value_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_value_pb2.Value, _Mapping]] = ...) -> None: ...
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    PATCH_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    PATCH_JSON_FIELD_NUMBER: _ClassVar[int]
    identity: str
    patch: _containers.MessageMap[str, _value_pb2.Value]
    revision: int
    namespace: str
    patch_json: bytes
    def __init__(self, identity: _Optional[str] = ..., patch: _Optional[_Mapping[str, _value_pb2.Value]] = ..., revision: _Optional[int] = ..., namespace: _Optional[str] = ..., patch_json: _Optional[bytes] = ...) -> None: ...

class UpdateResponse(_message.Message):
    __slots__ = ("identity", "metadata_json")
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    METADATA_JSON_FIELD_NUMBER: _ClassVar[int]
    identity: Identity
    metadata_json: bytes
    def __init__(self, identity: _Optional[_Union[Identity, _Mapping]] = ..., metadata_json: _Optional[bytes] = ...) -> None: ...
