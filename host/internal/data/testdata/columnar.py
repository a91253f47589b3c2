"""Makes columns.parquet, columns.arrow, columns.feather and columns.arrows, which hold one table, and columnar.txt, which says what
is in it (pyarrow 26.0.1): python columnar.py"""
import datetime
import decimal
import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet

n = 250
i = np.arange(n)
gone = i % 7 == 3


def column(values, t):
    return pa.array([None if g else v for v, g in zip(values, gone)], t)


table = pa.table({
    "id": pa.array(i, pa.int64()),
    "flag": column((i % 2 == 0).tolist(), pa.bool_()),
    "i8": column(((i % 256) - 128).tolist(), pa.int8()),
    "u8": column((i % 256).tolist(), pa.uint8()),
    "i16": column((i * 31 % 65536 - 32768).tolist(), pa.int16()),
    "u32": column((i + 2**32 - n).tolist(), pa.uint32()),
    "u64": column((i + 2**53).tolist(), pa.uint64()),
    "f32": column((i / 3).astype("f4").tolist(), pa.float32()),
    "f64": column((i / 3).tolist(), pa.float64()),
    "text": column([f"w{k * 7 % 50}é" for k in i], pa.string()),
    "large": column([f"L{k % 9}" for k in i], pa.large_string()),
    "view": column([f"{'a long word, number ' * (k % 2)}{k % 5}" for k in i], pa.string_view()),
    "word": pa.array([None if g else ["red", "green", "blue"][k % 3] for k, g in zip(i, gone)]).dictionary_encode(),
    "price": column([decimal.Decimal(int(k) - 500) / 100 for k in i], pa.decimal128(9, 2)),
    "day": column([datetime.date(1970, 1, 1) + datetime.timedelta(days=int(k)) for k in i], pa.date32()),
    "pair": pa.array([None if g else [float(k), float(-k)] for k, g in zip(i, gone)], pa.list_(pa.float32(), 2)),
    "nothing": pa.array([None] * n, pa.float64()),
})
pa.parquet.write_table(table, "columns.parquet", row_group_size=100, data_page_size=512, compression="zstd")
for name, compression in ("columns.arrow", "zstd"), ("columns.feather", "lz4"):
    with pa.OSFile(name, "wb") as f, pa.ipc.new_file(f, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as w:
        for b in table.to_batches(max_chunksize=100):
            w.write_batch(b)
with pa.OSFile("columns.arrows", "wb") as f, pa.ipc.new_stream(f, table.schema) as w:
    for b in table.to_batches(max_chunksize=100):
        w.write_batch(b)
with open("columnar.txt", "w") as out:
    for name in table.column_names:
        v = [x for x in table[name].to_pylist() if x is not None]
        if name in ("text", "large", "view", "word"):
            text = f"{len(set(v))} {v[0]} {v[-1]}"
        elif name == "pair":
            text = f"{sum(x[0] for x in v):.6f} {sum(x[1] for x in v):.6f}"
        elif name == "day":
            text = f"{sum((x - datetime.date(1970, 1, 1)).days for x in v):.6f}"
        else:
            text = f"{sum(float(x) for x in v):.6f}"
        out.write(f"{name} {n - len(v)} {text}\n")
