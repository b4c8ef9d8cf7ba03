# SPDX-License-Identifier: BSD-3-Clause
"""What the package mirrors is what the headers say: layouts, prototypes, values, statuses."""
from __future__ import annotations

import ctypes
import dataclasses
import os
import re
import shlex
import subprocess
import sys
from typing import get_args

import headers
import numpy as np
import pytest

import libsgt as sgt
from libsgt import _enums, _functions, _structs, errors
from libsgt._library import lib

MIRRORED = {
    name: value
    for name, value in vars(_structs).items()
    if isinstance(value, type) and issubclass(value, _structs.Sized) and name != "Sized"
}

SCALARS = {
    "sgt_status": ctypes.c_int32,
    "int32_t": ctypes.c_int32,
    "int64_t": ctypes.c_int64,
    "uint32_t": ctypes.c_uint32,
    "uint64_t": ctypes.c_uint64,
    "size_t": ctypes.c_size_t,
    "double": ctypes.c_double,
    "float": ctypes.c_float,
    "void": None,
}


@pytest.fixture(scope="module")
def layouts(tmp_path_factory):
    """{struct: (size, {field: offset})}, as the C compiler lays them out."""
    folder = tmp_path_factory.mktemp("layout")
    lines = ["#include <stdio.h>", "#include <stddef.h>"]
    lines += ["#include <sgt/sgt.h>", "#include <sgt/session.h>", "#include <sgt/sampler.h>"]
    lines += ["#include <sgt/sys/growth.h>", "int main(void) {"]
    for name, fields in headers.structures().items():
        lines.append(f'printf("{name} %zu\\n", sizeof({name}));')
        for field in fields:
            lines.append(f'printf("{name} {field} %zu\\n", offsetof({name}, {field}));')
    lines += ["return 0;", "}"]
    (folder / "layout.c").write_text("\n".join(lines))
    compiler = shlex.split(os.environ.get("CC", "cc"))
    program = folder / "layout"
    command = compiler + [f"-I{headers.INCLUDE}", str(folder / "layout.c"), "-o", str(program)]
    subprocess.run(command, check=True)
    found = {}
    output = subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout
    for line in output.splitlines():
        words = line.split()
        if len(words) == 2:
            found[words[0]] = (int(words[1]), {})
        elif words:
            found[words[0]][1][words[1]] = int(words[2])
    return found


def test_the_headers_are_understood():
    structures, functions = headers.structures(), headers.functions()
    assert structures["sgt_batch"] == ["size", "batch", "seq", "reserved", "tokens", "targets"]
    assert functions["sgt_optimizer_set_lr"] == ("sgt_status", ["sgt_optimizer *", "double"])
    assert set(functions) == headers.exported()
    assert len(structures) > 30


def test_every_structure_is_mirrored():
    assert set(headers.structures()) == set(MIRRORED)


@pytest.mark.parametrize("name", sorted(MIRRORED))
def test_layout(name, layouts):
    struct = MIRRORED[name]
    size, offsets = layouts[name]
    assert ctypes.sizeof(struct) == size
    assert {field[0]: getattr(struct, field[0]).offset for field in struct._fields_} == offsets
    # Sizes of fields follow from offsets but for the last one.
    last = struct._fields_[-1]
    end = getattr(struct, last[0]).offset + ctypes.sizeof(last[1])
    alignment = ctypes.alignment(struct)
    assert (end + alignment - 1) // alignment * alignment == size


def test_an_integer_that_does_not_fit_is_refused():
    with pytest.raises(OverflowError, match="vocab_size"):
        _structs.sgt_model_config(vocab_size=2**32 + 5)
    with pytest.raises(OverflowError, match="seed"):
        _structs.sgt_model_init_options(seed=-1)
    batch = _structs.sgt_batch(batch=np.int16(7), seq=True)
    assert (batch.batch, batch.seq) == (7, 1)
    with pytest.raises(OverflowError, match="seq: 4294967552"):
        batch.seq = np.int64(2**32 + 256)
    for wrong in (1.0, np.float64(2), "3", None, np.array([1, 2])):
        with pytest.raises(TypeError, match="batch: an integer"):
            batch.batch = wrong
    with pytest.raises(TypeError, match="std: a real number"):
        _structs.sgt_model_init_options(std="0.1")
    with pytest.raises(OverflowError, match="std"):
        _structs.sgt_model_init_options(std=10**400)
    assert (batch.batch, batch.seq) == (7, 1)


def test_every_function_is_declared():
    assert set(_functions.PROTOTYPES) == set(headers.functions())


def is_pointer(type_):
    return type_ in (ctypes.c_void_p, ctypes.c_char_p) or hasattr(type_, "contents")


@pytest.mark.parametrize("name", sorted(_functions.PROTOTYPES))
def test_prototype(name):
    result, arguments = headers.functions()[name]
    own_result, own_arguments = _functions.PROTOTYPES[name]
    assert len(own_arguments) == len(arguments)
    for type_, own in zip([result] + arguments, [own_result] + own_arguments):
        if type_.endswith("*"):
            assert is_pointer(own), type_
            pointed = getattr(own, "_type_", None)
            struct = MIRRORED.get(type_[:-2].strip())
            if struct is not None:
                assert pointed is struct, type_
            elif type_ == "char *" and own is not ctypes.c_void_p:
                assert own is ctypes.c_char_p
        elif SCALARS[type_] is None:
            assert own is None
        else:
            assert issubclass(own, SCALARS[type_]), type_
    for name_, own in zip(headers.parameters()[name], own_arguments):
        assert getattr(own, "parameter", name_) == name_


CONSTANTS = {
    "LOG_LEVEL": ("sgt_log_level", "SGT_LOG_"),
    "PHASE": ("sgt_phase", "SGT_PHASE_"),
    "ATTENTION": ("sgt_attention_kind", "SGT_ATTENTION_"),
    "ATTENTION_OUTPUT": ("sgt_attention_output", "SGT_ATTENTION_OUTPUT_"),
    "FEED_FORWARD": ("sgt_feed_forward_kind", "SGT_FEED_FORWARD_"),
    "ALTUP_ORDER": ("sgt_altup_order", "SGT_ALTUP_"),
    "ALTUP_TABLE": ("sgt_altup_table", "SGT_ALTUP_"),
    "ENTROPY": ("sgt_entropy", "SGT_ENTROPY_"),
    "PART": ("sgt_parameter_part", "SGT_PART_"),
    "FLOPS_LOOPS": ("sgt_flops_loops", "SGT_FLOPS_LOOPS_"),
    "SCHEDULE": ("sgt_schedule", "SGT_SCHEDULE_"),
    "DECAY_SCOPE": ("sgt_decay_scope", "SGT_DECAY_"),
    "MOMENT": ("sgt_moment", "SGT_MOMENT_"),
    "GROWTH_ACTION": ("sgt_growth_action", "SGT_GROWTH_"),
    "RAMP": ("sgt_ramp", "SGT_RAMP_"),
    "FADE": ("sgt_fade", "SGT_FADE_"),
    "DIRECTION": ("sgt_growth_direction", "SGT_DIRECTION_"),
    "HEAD_CHOICE": ("sgt_head_choice", "SGT_HEADS_"),
    "KEY_SET": ("sgt_key_set", "SGT_KEYS_"),
    "GENERATE_END": ("sgt_generate_end", "SGT_GENERATE_END_"),
}

DTYPES = {"f32": "float32", "f64": "float64", "bf16": "bfloat16", "f16": "float16", "i32": "int32"}


def words(enumeration, prefix):
    values = headers.enumerations()[enumeration]
    return {name[len(prefix) :].lower(): value for name, value in values.items()}


@pytest.mark.parametrize("table", sorted(CONSTANTS))
def test_constants(table):
    assert getattr(_enums, table) == words(*CONSTANTS[table])


def test_data_types():
    found = {DTYPES[word]: value for word, value in words("sgt_dtype", "SGT_").items()}
    assert _enums.DTYPE == found


WORDS = {
    "AttentionKind": "ATTENTION", "AttentionOutput": "ATTENTION_OUTPUT",
    "FeedForwardKind": "FEED_FORWARD",
    "AltupOrder": "ALTUP_ORDER", "AltupTable": "ALTUP_TABLE",
    "Collected": "ENTROPY", "FlopsLoops": "FLOPS_LOOPS", "FlopsPhase": "FLOPS_PHASE",
    "Schedule": "SCHEDULE",
    "DecayScope": "DECAY_SCOPE", "Moment": "MOMENT", "GrowthAction": "GROWTH_ACTION",
    "Ramp": "RAMP", "Fade": "FADE", "Direction": "DIRECTION", "HeadChoice": "HEAD_CHOICE",
    "SavedType": "SAVED_TYPE", "SessionWeights": "SESSION_WEIGHTS",
}


@pytest.mark.parametrize("hint", WORDS)
def test_hints_have_the_words(hint):
    assert list(get_args(getattr(_enums, hint))) == list(getattr(_enums, WORDS[hint]))


def test_every_enumeration_is_known():
    mirrored = {enumeration for enumeration, _ in CONSTANTS.values()} | {"sgt_dtype"}
    assert set(headers.enumerations()) == mirrored


def test_max_rank():
    header = (headers.INCLUDE / "sgt" / "tensor.h").read_text()
    model = (headers.INCLUDE / "sgt" / "model.h").read_text()
    assert f"#define SGT_MAX_EOS_TOKENS {_structs.MAX_EOS_TOKENS}\n" in model
    assert f"#define SGT_MAX_RANK {_structs.MAX_RANK} " in header.replace("\n", " ")


@pytest.mark.parametrize("name, status", [i for i in headers.statuses().items() if i[1] < 0])
def test_every_status_has_a_class(name, status):
    cls = errors.class_of(status)
    assert cls is not errors.Error and issubclass(cls, errors.Error)
    assert getattr(sgt, cls.__name__) is cls
    if "PLUGIN" not in name:
        assert cls.status == status
    assert lib.sgt_status_name(status).decode() == name


def test_other_statuses():
    assert errors.class_of(1) is sgt.Stopped
    assert errors.class_of(-89) is sgt.Error


def test_option_defaults_are_those_of_the_library():
    """What a Python signature says is the default is what C's options_init says."""
    import inspect

    def c_defaults(name):
        struct = MIRRORED[name]()
        getattr(lib, f"{name}_init")(ctypes.byref(struct), ctypes.sizeof(struct))
        return struct

    tables = {"weights": "SESSION_WEIGHTS", "loops": "FLOPS_LOOPS"}

    def check(function, name, **renamed):
        struct = c_defaults(name)
        for parameter in inspect.signature(function).parameters.values():
            field = renamed.get(parameter.name, parameter.name)
            if parameter.default is inspect.Parameter.empty or field is None:
                continue
            found = getattr(struct, field)
            table = getattr(_enums, tables.get(field, field.upper()), None)
            default = parameter.default
            if isinstance(default, str):
                default = table[default]
            assert default == found, (function, parameter.name)

    check(sgt.Model.init_weights, "sgt_model_init_options")
    weights = dict.fromkeys(("context", "seed", "std", "cut", "residual", "unit_scale"))
    check(sgt.Model, "sgt_model_options", draw_seed="seed", **weights)
    check(sgt.Optimizer, "sgt_optimizer_options", betas=None, rate=None)
    betas = inspect.signature(sgt.Optimizer).parameters["betas"].default
    options = c_defaults("sgt_optimizer_options")
    assert betas == (options.beta1, options.beta2)
    check(sgt.SparseGrowth, "sgt_growth_sparse_options", exclude=None, groups=None)
    options = c_defaults("sgt_growth_sparse_options")
    excluded = (ctypes.c_int32 * options.n_exclude).from_address(options.exclude)
    assert inspect.signature(sgt.SparseGrowth).parameters["exclude"].default == tuple(excluded)
    check(sgt.Sampler, "sgt_sampler_options", context=None, bias=None)
    check(sgt.Session, "sgt_session_options")
    check(sgt.count_flops, "sgt_flops_options", plan=None)
    check(sgt.Growth, "sgt_growth_options")
    defaults = sgt.ModelConfig._from(c_defaults("sgt_model_config"))
    config = sgt.ModelConfig(1, 1, 1, 1, 1, 1)
    for field in dataclasses.fields(config):
        if field.default is not dataclasses.MISSING:
            assert getattr(config, field.name) == getattr(defaults, field.name)
    assert sgt.BlockConfig() == sgt.BlockConfig._from(c_defaults("sgt_block_config"))


def test_a_configuration_has_the_fields_of_the_library():
    table = (headers.INCLUDE.parent / "lib" / "core" / "config_fields.c").read_text()
    rows = re.findall(r'^    {(?:NAMED|INTEGER|FLAG|CHOICE|REAL)\((\w+), "(\w+)"', table, re.MULTILINE)
    of_blocks = {name for name, stored in rows if stored.startswith("sgt_block_")}
    fields = {field.name for field in dataclasses.fields(sgt.ModelConfig)}
    assert {name for name, _ in rows} - of_blocks == fields - {"blocks"}
    fields = {field.name for field in dataclasses.fields(sgt.BlockConfig)}
    assert of_blocks == fields - {"patterns"}


@pytest.mark.skipif(sys.platform == "win32", reason="names of shared objects")
def test_versions_agree():
    text = (headers.INCLUDE / "sgt" / "common.h").read_text()
    version = ".".join(
        re.search(rf"#define SGT_VERSION_{part} (\d+)", text).group(1)
        for part in ("MAJOR", "MINOR", "PATCH")
    )
    project = (headers.INCLUDE.parent / "bindings" / "python" / "pyproject.toml").read_text()
    assert sgt.__version__ == sgt.library_version() == version
    assert f'\nversion = "{version}"\n' in project
