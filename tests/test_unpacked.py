"""Files made to exhaust memory: refused before their rows are made; honest files of every kind are read as they are."""

from __future__ import annotations

import gc
import gzip
import io
import struct
import zipfile

import pytest
from test_reading_shapes import refusal

from data.reading import read_examples

LONG = "a" * 400_000


def repeated(value, count):
    """A column that refers to one value `count` times."""
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), pa.array([value]))


def bombs():
    """{name of a small file: what writes it}: each has rows of 40 MB or more."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def parquet(columns, **options):
        return lambda path: pq.write_table(pa.table(columns), path, compression="zstd", **options)

    def arrow(columns, file=True, compression=None):
        def write(path):
            made, options = pa.table(columns), pa.ipc.IpcWriteOptions(compression=compression)
            kind = pa.ipc.new_file if file else pa.ipc.new_stream
            with kind(path, made.schema, options=options) as writer:
                writer.write_table(made)

        return write

    references = {"question": repeated(LONG, 100), "answer": repeated("x", 100)}
    nested = {"text": pa.ListArray.from_arrays([0, 100], repeated(LONG, 100))}
    starts, plain = {"text": [LONG + str(i) for i in range(100)]}, {"use_dictionary": False}
    grown = {**plain, "column_encoding": "DELTA_BYTE_ARRAY"}
    view = struct.pack("<i4sii", len(LONG), LONG[:4].encode(), 0, 0)  # length, first letters, buffer, place in it
    buffers = [None, pa.py_buffer(view * 100), pa.py_buffer(LONG.encode())]
    views = pa.Array.from_buffers(pa.string_view(), 100, buffers)
    nothing = pa.FixedSizeListArray.from_arrays(pa.nulls(10_000_000), 10_000_000)
    numbers = pa.array([7] * 6_000_000, pa.int64())
    return {
        "references.parquet": parquet(references),
        "references-of-others.parquet": parquet(references, store_schema=False),
        "nested.parquet": parquet(nested, store_schema=False),
        "plain.parquet": parquet({"text": [LONG] * 100}, **plain),
        "one-text.parquet": parquet({"text": [LONG * 100]}, **plain),
        "starts.parquet": parquet(starts, **grown),
        "nested-starts.parquet": parquet({"text": [starts["text"]]}, use_dictionary=False,
                                         column_encoding={"text.list.element": "DELTA_BYTE_ARRAY"}),
        "numbers.parquet": parquet({"text": numbers}),
        "packed.arrow": arrow({"text": [LONG] * 100}, compression="zstd"),
        "packed-stream.arrow": arrow({"text": [LONG] * 100}, file=False, compression="lz4"),
        "packed-references.arrow": arrow({"text": repeated(LONG * 100, 1)}, compression="zstd"),
        "references.arrow": arrow(references),
        "references-stream.arrow": arrow(references, file=False),
        "views.arrow": arrow({"text": views}),
        "nothing.arrow": arrow({"text": nothing}),
    }  # fmt: skip


@pytest.mark.parametrize("wrapped", ["", ".gz", ".zip"])
def test_a_small_file_with_huge_rows_is_refused_before_they_are_made(tmp_path, wrapped, monkeypatch):
    import pyarrow

    from data.reading import unpacked

    monkeypatch.setattr(unpacked, "MAX_TOTAL", 30_000_000)
    written = bombs()
    for name, write in written.items():
        path = tmp_path / name
        write(path)
        assert path.stat().st_size < 2_000_000, name
        if wrapped == ".gz":
            path = tmp_path / f"{name}.gz"
            path.write_bytes(gzip.compress((tmp_path / name).read_bytes()))
        elif wrapped:
            path = tmp_path / f"{name}.zip"
            with zipfile.ZipFile(path, "w") as archive:
                archive.write(tmp_path / name, name)
        gc.collect()
        usual, pool = pyarrow.default_memory_pool(), pyarrow.system_memory_pool()  # one that nothing else uses
        pyarrow.set_memory_pool(pool)
        try:
            told = refusal(path)
        finally:
            pyarrow.set_memory_pool(usual)
        assert f"{path}" in told and "decompression bomb" in told and "as .jsonl" in told, told
        assert pool.max_memory() < 30_000_000, f"{name}: {pool.max_memory():,} bytes"


def test_a_file_of_900_bytes_with_rows_of_4_gb_is_refused_at_once(tmp_path):
    import time

    import pyarrow
    import pyarrow.parquet

    path = tmp_path / "a.parquet"
    columns = {"question": repeated("a" * 4_000_000, 1000), "answer": repeated("x", 1000)}
    pyarrow.parquet.write_table(pyarrow.table(columns), path, compression="zstd")
    assert path.stat().st_size < 1000
    started = time.perf_counter()
    assert "unpacks to more than 200 MB" in refusal(path)
    assert time.perf_counter() - started < 5


def varint(number):
    """A number as a footer holds it, from 0 up."""
    number, found = 2 * number, []
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def with_a_lying_footer(data, sizes):
    """A Parquet file whose footer tells small sizes, and no unusual encodings; `sizes`: those that it told."""
    length = int.from_bytes(data[-8:-4], "little")
    footer = data[-8 - length : -8]
    for told in map(varint, sizes):
        assert told in footer
        footer = footer.replace(told, bytes([2 | 128, *[128] * (len(told) - 2), 0]))  # 1, in as many bytes
    for listed in (b"\x19\x25\x0e\x06", b"\x19\x25\x06\x0e", b"\x19\x35\x00\x06\x0e"):  # 14: DELTA_BYTE_ARRAY
        footer = footer.replace(listed, listed.replace(b"\x0e", b"\x06"))
    return data[: -8 - length] + footer + data[-8:]


def test_a_footer_that_tells_small_sizes_helps_no_bomb(tmp_path, monkeypatch):
    """Neither sizes nor encodings of the footer count, but what the pages are unpacked to."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from data.reading import unpacked

    monkeypatch.setattr(unpacked, "MAX_TOTAL", 30_000_000)
    written = bombs()
    lists = pa.ListArray.from_arrays([0, 10_000_000], pa.nulls(10_000_000, pa.string()))
    written["nulls.parquet"] = lambda path: pq.write_table(pa.table({"text": lists}), path)
    for name in (name for name in written if name.endswith(".parquet")):
        path = tmp_path / name
        written[name](path)
        about = pq.ParquetFile(path).metadata
        chunks = [about.row_group(group).column(number) for group in range(about.num_row_groups)
                  for number in range(about.num_columns)]  # fmt: skip
        sizes = {chunk.total_uncompressed_size for chunk in chunks} | {group.total_byte_size for group in
                 map(about.row_group, range(about.num_row_groups))}  # fmt: skip
        large = sorted((size for size in sizes if size > 10_000), reverse=True)
        path.write_bytes(with_a_lying_footer(path.read_bytes(), large))
        lying = pq.ParquetFile(path).metadata.row_group(0)
        assert max(lying.column(0).total_uncompressed_size, lying.total_byte_size) <= 10_000, name
        gc.collect()
        usual, pool = pa.default_memory_pool(), pa.system_memory_pool()
        pa.set_memory_pool(pool)
        try:
            told = refusal(path)
        finally:
            pa.set_memory_pool(usual)
        assert f"{path}" in told and "decompression bomb" in told, told
        assert pool.max_memory() < 30_000_000, f"{name}: {pool.max_memory():,} bytes"


def test_page_headers_are_read_as_pyarrow_reads_them(tmp_path):
    """Every page of every kind of file is found; a damaged header is refused."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from data.reading import parquet_pages

    texts = [f"{number} " + "words " * 20 for number in range(5000)]
    table = pa.table({"text": texts, "number": list(range(5000)), "lists": [[text, None] for text in texts]})
    for way in ({}, {"use_dictionary": False}, {"data_page_version": "2.0"}, {"data_page_size": 5000},
                {"row_group_size": 700, "compression": "none"}, {"write_page_checksum": True}):  # fmt: skip
        file = io.BytesIO()
        pq.write_table(table, file, **way)
        about = pq.ParquetFile(file).metadata
        for group in map(about.row_group, range(about.num_row_groups)):
            for chunk in map(group.column, range(about.num_columns)):
                found = list(parquet_pages.pages(file, chunk))
                values = [page.values for page in found if page.kind != parquet_pages.DICTIONARY]
                assert sum(values) == chunk.num_values and len(values) >= 1
                size = sum(page.size for page in found)  # the footer counts the headers too
                assert size < chunk.total_uncompressed_size < size + 500 * len(found)
                assert chunk.has_dictionary_page == (found[0].kind == parquet_pages.DICTIONARY)
    data = bytearray(file.getvalue())
    data[chunk.dictionary_page_offset] = 0x1D  # a field of a type that no header has
    with pytest.raises(ValueError, match="a damaged page header"):
        list(parquet_pages.pages(io.BytesIO(data), chunk))


def test_an_arrow_file_with_wrong_places_is_refused(tmp_path):
    """pyarrow believes the places of the texts in a file and would read elsewhere in memory."""
    import pyarrow as pa

    path, table = tmp_path / "a.arrow", pa.table({"question": ["Where?", "Who?"], "answer": ["Oslo.", "Ada."]})
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)
    assert len(read_examples(path)) == 2
    ends = struct.pack("<iii", 0, 6, 10)
    assert path.read_bytes().count(ends) == 1
    path.write_bytes(path.read_bytes().replace(ends, struct.pack("<iii", 0, 6, 2_000_000_000)))
    assert "not a readable Arrow file" in refusal(path)


def test_a_saved_data_set_with_huge_rows_is_refused_before_it_is_loaded(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    from data.reading import unpacked

    monkeypatch.setattr(unpacked, "MAX_TOTAL", 30_000_000)
    monkeypatch.setattr(datasets, "load_from_disk", lambda _: pytest.fail("it was loaded"))
    few = datasets.Dataset.from_dict({"question": ["Where?"], "answer": ["Oslo."]})
    for kind, name in (("one", ""), ("several", "test")):
        saved = few if kind == "one" else datasets.DatasetDict({"train": few, "test": few})
        saved.save_to_disk(tmp_path / kind)
        (arrow,) = (tmp_path / kind / name).glob("*.arrow")
        for bomb in ("references-stream.arrow", "packed-stream.arrow"):
            bombs()[bomb](arrow)
            told = refusal(tmp_path / kind)
            assert f"{arrow}: unpacks to more than 30 MB" in told, told


def test_a_long_list_in_a_table_is_read_as_json_only(tmp_path):
    from data.reading import tables

    short, long = "['a', 'b']", "['a'" + ", 'b'" * tables.PYTHON_LIST + "]"
    for cell, choices in ((short, ["a", "b"]), (long, None), (long.replace("'", '"'), ["a"])):
        found = tables._list(cell)
        assert found is None if choices is None else found[: len(choices)] == choices


def test_rows_of_every_kind_are_read_as_they_are(tmp_path):
    """Also where texts repeat, are packed, or lie in views; other columns may hold anything."""
    import datetime

    import pyarrow as pa
    import pyarrow.parquet as pq

    from data.reading import unpacked

    kinds = {
        "question": pa.array(["Where?", None, "Who?", "Where?"]),
        "repeated": pa.array(["a", "b", None, "a"]).dictionary_encode(),
        "numbers": pa.array([1, None, 3, 4], pa.int16()),
        "days": pa.array([datetime.date(2020, 1, 1)] * 4),
        "lists": pa.array([["a", None], [], None, ["b"]]),
        "objects": pa.array([{"a": "x", "b": [1]}, None, {"a": None, "b": []}, {"a": "y", "b": None}]),
        "fixed": pa.array([[1, 2], None, [3, 4], [5, 6]], pa.list_(pa.int32(), 2)),
        "maps": pa.array([[("a", "b")], [], None, [("c", "d"), ("e", "f")]], pa.map_(pa.string(), pa.string())),
        "bytes": pa.array([b"ab", b"cd", None, b"ef"], pa.binary(2)),
        "none": pa.nulls(4),
    }
    views = {"views": pa.array(["x" * 40, None, "y", "z"], pa.string_view())}
    table, path = pa.table(kinds), tmp_path / "a"
    texts = ("question", "lists.list.element", "objects.a")
    encodings = [dict.fromkeys(texts, kind) for kind in ("PLAIN", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY")]
    ways = [{}, *({"use_dictionary": False, "column_encoding": encoding} for encoding in encodings)]
    for way in ways:
        pq.write_table(table, path, **way)
        with open(path, "rb") as file:
            assert [row for rows in unpacked.parquet_rows(file, 1) for row in rows] == table.to_pylist()
    table = pa.table({**kinds, **views})
    for kind, compression in ((pa.ipc.new_file, None), (pa.ipc.new_stream, "zstd"), (pa.ipc.new_file, "lz4")):
        with kind(path, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
            writer.write_table(table.slice(1, 3))
            writer.write_table(table)
        with open(path, "rb") as file:
            found = [row for rows in unpacked.arrow_rows(file, 1) for row in rows]
        assert found == table.slice(1, 3).to_pylist() + table.to_pylist()
