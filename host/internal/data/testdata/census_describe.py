"""Makes census_describe.txt from the Census Income file: python census_describe.py adult.data.gz (pandas 3.1.1)."""
import sys
import pandas as pd

COLS = "age workclass fnlwgt education education-num marital-status occupation relationship race sex capital-gain capital-loss hours-per-week native-country income".split()
df = pd.read_csv(sys.argv[1], names=COLS, skipinitialspace=True, na_values=["?"], keep_default_na=False)
for c in COLS:
    s = df[c]
    line = f"{c} {s.isna().sum()} {s.nunique()}"
    if pd.api.types.is_integer_dtype(s):
        q = s.quantile([0.01, 0.25, 0.5, 0.75, 0.99])
        line += f" {s.mean():.10g} {s.std():.10g} {s.min():.10g} {s.max():.10g} [{' '.join(f'{v:g}' if v < 1e6 else repr(v) for v in q)}]"
    else:
        line += f" {s.value_counts().index[0]} {s.value_counts().iloc[0]}"
    print(line)
