from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AttachRequest(_message.Message):
    __slots__ = ("attach", "detach", "ack", "nack", "namespace")
    ATTACH_FIELD_NUMBER: _ClassVar[int]
    DETACH_FIELD_NUMBER: _ClassVar[int]
    ACK_FIELD_NUMBER: _ClassVar[int]
    NACK_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    attach: _containers.RepeatedCompositeFieldContainer[AttachIdentity]
    detach: _containers.RepeatedCompositeFieldContainer[Detach]
    ack: _containers.RepeatedScalarFieldContainer[int]
    nack: _containers.RepeatedCompositeFieldContainer[Nack]
    namespace: str
    def __init__(self, attach: _Optional[_Iterable[_Union[AttachIdentity, _Mapping]]] = ..., detach: _Optional[_Iterable[_Union[Detach, _Mapping]]] = ..., ack: _Optional[_Iterable[int]] = ..., nack: _Optional[_Iterable[_Union[Nack, _Mapping]]] = ..., namespace: _Optional[str] = ...) -> None: ...

class AttachIdentity(_message.Message):
    __slots__ = ("identity", "metadata_json", "ttl_seconds", "resume", "only_if_absent")
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    METADATA_JSON_FIELD_NUMBER: _ClassVar[int]
    TTL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    RESUME_FIELD_NUMBER: _ClassVar[int]
    ONLY_IF_ABSENT_FIELD_NUMBER: _ClassVar[int]
    identity: str
    metadata_json: bytes
    ttl_seconds: int
    resume: str
    only_if_absent: bool
    def __init__(self, identity: _Optional[str] = ..., metadata_json: _Optional[bytes] = ..., ttl_seconds: _Optional[int] = ..., resume: _Optional[str] = ..., only_if_absent: _Optional[bool] = ...) -> None: ...

class Detach(_message.Message):
    __slots__ = ("identity", "keep")
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    KEEP_FIELD_NUMBER: _ClassVar[int]
    identity: str
    keep: bool
    def __init__(self, identity: _Optional[str] = ..., keep: _Optional[bool] = ...) -> None: ...

class Nack(_message.Message):
    __slots__ = ("tag", "delay_ms")
    TAG_FIELD_NUMBER: _ClassVar[int]
    DELAY_MS_FIELD_NUMBER: _ClassVar[int]
    tag: int
    delay_ms: int
    def __init__(self, tag: _Optional[int] = ..., delay_ms: _Optional[int] = ...) -> None: ...

class AttachResponse(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[AttachEvent]
    def __init__(self, events: _Optional[_Iterable[_Union[AttachEvent, _Mapping]]] = ...) -> None: ...

class AttachEvent(_message.Message):
    __slots__ = ("delivery", "attached", "refused", "detached", "lost", "gap", "draining")
    DELIVERY_FIELD_NUMBER: _ClassVar[int]
    ATTACHED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    DETACHED_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    GAP_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    delivery: Delivery
    attached: Attached
    refused: AttachRefused
    detached: Detached
    lost: Lost
    gap: MessageGap
    draining: Draining
    def __init__(self, delivery: _Optional[_Union[Delivery, _Mapping]] = ..., attached: _Optional[_Union[Attached, _Mapping]] = ..., refused: _Optional[_Union[AttachRefused, _Mapping]] = ..., detached: _Optional[_Union[Detached, _Mapping]] = ..., lost: _Optional[_Union[Lost, _Mapping]] = ..., gap: _Optional[_Union[MessageGap, _Mapping]] = ..., draining: _Optional[_Union[Draining, _Mapping]] = ...) -> None: ...

class Delivery(_message.Message):
    __slots__ = ("message", "handles", "tags", "attempts")
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    HANDLES_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    message: DeliveredMessage
    handles: _containers.RepeatedScalarFieldContainer[int]
    tags: _containers.RepeatedScalarFieldContainer[int]
    attempts: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, message: _Optional[_Union[DeliveredMessage, _Mapping]] = ..., handles: _Optional[_Iterable[int]] = ..., tags: _Optional[_Iterable[int]] = ..., attempts: _Optional[_Iterable[int]] = ...) -> None: ...

class DeliveredMessage(_message.Message):
    __slots__ = ("message_id", "payload", "content_type", "sent_at_us")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    SENT_AT_US_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    payload: bytes
    content_type: str
    sent_at_us: int
    def __init__(self, message_id: _Optional[str] = ..., payload: _Optional[bytes] = ..., content_type: _Optional[str] = ..., sent_at_us: _Optional[int] = ...) -> None: ...

class Attached(_message.Message):
    __slots__ = ("identity", "handle", "registration_id", "revision", "expires_at_us", "resumed")
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    REGISTRATION_ID_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_US_FIELD_NUMBER: _ClassVar[int]
    RESUMED_FIELD_NUMBER: _ClassVar[int]
    identity: str
    handle: int
    registration_id: str
    revision: int
    expires_at_us: int
    resumed: bool
    def __init__(self, identity: _Optional[str] = ..., handle: _Optional[int] = ..., registration_id: _Optional[str] = ..., revision: _Optional[int] = ..., expires_at_us: _Optional[int] = ..., resumed: _Optional[bool] = ...) -> None: ...

class AttachRefused(_message.Message):
    __slots__ = ("identity", "code", "message", "reason", "problems", "details")
    class DetailsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    identity: str
    code: int
    message: str
    reason: str
    problems: _containers.RepeatedCompositeFieldContainer[FieldProblem]
    details: _containers.ScalarMap[str, str]
    def __init__(self, identity: _Optional[str] = ..., code: _Optional[int] = ..., message: _Optional[str] = ..., reason: _Optional[str] = ..., problems: _Optional[_Iterable[_Union[FieldProblem, _Mapping]]] = ..., details: _Optional[_Mapping[str, str]] = ...) -> None: ...

class FieldProblem(_message.Message):
    __slots__ = ("field", "description")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    field: str
    description: str
    def __init__(self, field: _Optional[str] = ..., description: _Optional[str] = ...) -> None: ...

class Detached(_message.Message):
    __slots__ = ("identity", "handle")
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    identity: str
    handle: int
    def __init__(self, identity: _Optional[str] = ..., handle: _Optional[int] = ...) -> None: ...

class Lost(_message.Message):
    __slots__ = ("identity", "handle", "reason")
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    identity: str
    handle: int
    reason: str
    def __init__(self, identity: _Optional[str] = ..., handle: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class MessageGap(_message.Message):
    __slots__ = ("handle", "dropped", "reason", "tag")
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    TAG_FIELD_NUMBER: _ClassVar[int]
    handle: int
    dropped: int
    reason: str
    tag: int
    def __init__(self, handle: _Optional[int] = ..., dropped: _Optional[int] = ..., reason: _Optional[str] = ..., tag: _Optional[int] = ...) -> None: ...

class Draining(_message.Message):
    __slots__ = ("grace_ms",)
    GRACE_MS_FIELD_NUMBER: _ClassVar[int]
    grace_ms: int
    def __init__(self, grace_ms: _Optional[int] = ...) -> None: ...
