from prism.v1 import value_pb2 as _value_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Operator(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OPERATOR_UNSPECIFIED: _ClassVar[Operator]
    OPERATOR_EQ: _ClassVar[Operator]
    OPERATOR_NE: _ClassVar[Operator]
    OPERATOR_LT: _ClassVar[Operator]
    OPERATOR_LTE: _ClassVar[Operator]
    OPERATOR_GT: _ClassVar[Operator]
    OPERATOR_GTE: _ClassVar[Operator]
    OPERATOR_STARTSWITH: _ClassVar[Operator]
    OPERATOR_ENDSWITH: _ClassVar[Operator]
    OPERATOR_CONTAINS: _ClassVar[Operator]
    OPERATOR_REGEX: _ClassVar[Operator]
    OPERATOR_IN: _ClassVar[Operator]
    OPERATOR_EXISTS: _ClassVar[Operator]
    OPERATOR_TYPE: _ClassVar[Operator]
    OPERATOR_NEAR: _ClassVar[Operator]
    OPERATOR_WITHIN: _ClassVar[Operator]
OPERATOR_UNSPECIFIED: Operator
OPERATOR_EQ: Operator
OPERATOR_NE: Operator
OPERATOR_LT: Operator
OPERATOR_LTE: Operator
OPERATOR_GT: Operator
OPERATOR_GTE: Operator
OPERATOR_STARTSWITH: Operator
OPERATOR_ENDSWITH: Operator
OPERATOR_CONTAINS: Operator
OPERATOR_REGEX: Operator
OPERATOR_IN: Operator
OPERATOR_EXISTS: Operator
OPERATOR_TYPE: Operator
OPERATOR_NEAR: Operator
OPERATOR_WITHIN: Operator

class Filter(_message.Message):
    __slots__ = ("comparison", "all_of", "any_of", "negated", "json")
    COMPARISON_FIELD_NUMBER: _ClassVar[int]
    ALL_OF_FIELD_NUMBER: _ClassVar[int]
    ANY_OF_FIELD_NUMBER: _ClassVar[int]
    NEGATED_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    comparison: Comparison
    all_of: FilterList
    any_of: FilterList
    negated: Filter
    json: str
    def __init__(self, comparison: _Optional[_Union[Comparison, _Mapping]] = ..., all_of: _Optional[_Union[FilterList, _Mapping]] = ..., any_of: _Optional[_Union[FilterList, _Mapping]] = ..., negated: _Optional[_Union[Filter, _Mapping]] = ..., json: _Optional[str] = ...) -> None: ...

class FilterList(_message.Message):
    __slots__ = ("filters", "implicit")
    FILTERS_FIELD_NUMBER: _ClassVar[int]
    IMPLICIT_FIELD_NUMBER: _ClassVar[int]
    filters: _containers.RepeatedCompositeFieldContainer[Filter]
    implicit: bool
    def __init__(self, filters: _Optional[_Iterable[_Union[Filter, _Mapping]]] = ..., implicit: _Optional[bool] = ...) -> None: ...

class Comparison(_message.Message):
    __slots__ = ("path", "operator", "operand")
    PATH_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    OPERAND_FIELD_NUMBER: _ClassVar[int]
    path: str
    operator: Operator
    operand: _value_pb2.Value
    def __init__(self, path: _Optional[str] = ..., operator: _Optional[_Union[Operator, str]] = ..., operand: _Optional[_Union[_value_pb2.Value, _Mapping]] = ...) -> None: ...
