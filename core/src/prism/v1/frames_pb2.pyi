from prism.v1 import attach_pb2 as _attach_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ProxyFrame(_message.Message):
    __slots__ = ("sender", "deliver", "nudge", "receipt", "evict", "acked", "batch")
    SENDER_FIELD_NUMBER: _ClassVar[int]
    DELIVER_FIELD_NUMBER: _ClassVar[int]
    NUDGE_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    EVICT_FIELD_NUMBER: _ClassVar[int]
    ACKED_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    sender: str
    deliver: DeliverFrame
    nudge: NudgeFrame
    receipt: ReceiptFrame
    evict: EvictFrame
    acked: AckedFrame
    batch: BatchFrame
    def __init__(self, sender: _Optional[str] = ..., deliver: _Optional[_Union[DeliverFrame, _Mapping]] = ..., nudge: _Optional[_Union[NudgeFrame, _Mapping]] = ..., receipt: _Optional[_Union[ReceiptFrame, _Mapping]] = ..., evict: _Optional[_Union[EvictFrame, _Mapping]] = ..., acked: _Optional[_Union[AckedFrame, _Mapping]] = ..., batch: _Optional[_Union[BatchFrame, _Mapping]] = ...) -> None: ...

class BatchFrame(_message.Message):
    __slots__ = ("frames",)
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    frames: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, frames: _Optional[_Iterable[bytes]] = ...) -> None: ...

class FrameTargets(_message.Message):
    __slots__ = ("count", "identities", "registration_ids")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    IDENTITIES_FIELD_NUMBER: _ClassVar[int]
    REGISTRATION_IDS_FIELD_NUMBER: _ClassVar[int]
    count: int
    identities: str
    registration_ids: str
    def __init__(self, count: _Optional[int] = ..., identities: _Optional[str] = ..., registration_ids: _Optional[str] = ...) -> None: ...

class DeliverFrame(_message.Message):
    __slots__ = ("message", "targets", "number", "wait_ms")
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    message: _attach_pb2.DeliveredMessage
    targets: FrameTargets
    number: int
    wait_ms: int
    def __init__(self, message: _Optional[_Union[_attach_pb2.DeliveredMessage, _Mapping]] = ..., targets: _Optional[_Union[FrameTargets, _Mapping]] = ..., number: _Optional[int] = ..., wait_ms: _Optional[int] = ...) -> None: ...

class NudgeFrame(_message.Message):
    __slots__ = ("identities",)
    IDENTITIES_FIELD_NUMBER: _ClassVar[int]
    identities: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, identities: _Optional[_Iterable[str]] = ...) -> None: ...

class AckedFrame(_message.Message):
    __slots__ = ("message_id", "identities", "again")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    IDENTITIES_FIELD_NUMBER: _ClassVar[int]
    AGAIN_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    identities: _containers.RepeatedScalarFieldContainer[str]
    again: bool
    def __init__(self, message_id: _Optional[str] = ..., identities: _Optional[_Iterable[str]] = ..., again: _Optional[bool] = ...) -> None: ...

class ReceiptFrame(_message.Message):
    __slots__ = ("message_id", "number", "statuses", "reason_index", "reasons")
    MESSAGE_ID_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    REASON_INDEX_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    message_id: str
    number: int
    statuses: bytes
    reason_index: _containers.RepeatedScalarFieldContainer[int]
    reasons: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, message_id: _Optional[str] = ..., number: _Optional[int] = ..., statuses: _Optional[bytes] = ..., reason_index: _Optional[_Iterable[int]] = ..., reasons: _Optional[_Iterable[str]] = ...) -> None: ...

class EvictFrame(_message.Message):
    __slots__ = ("targets", "reason")
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    targets: FrameTargets
    reason: str
    def __init__(self, targets: _Optional[_Union[FrameTargets, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...
