"""The questions of roll_up_figures.rs, by DuckDB on the same live files with the same number of threads.

usage: duckdb_figures.py FOLDER (hour_to_month | top_10_of_one_organisation)
"""
import os
import resource
import sqlite3
import sys
import time

import duckdb

folder, name = sys.argv[1:]
catalog = sqlite3.connect(f"{folder}/lake.db")
files = [f"{folder}/files/main/usage/{row[0]}"
         for row in catalog.execute("select path from ducklake_data_file where end_snapshot is null")]
con = duckdb.connect(config={"threads": os.cpu_count()})
con.execute("create view usage as select * from read_parquet(?)".replace("?", repr(files)))
HOUR_TO_MONTH = """
with hours as (select org_id, meter, epoch_us(start_at) // 3600000000 as hour, sum(quantity) as quantity
                 from usage where realm_id = 'rlm_00000000000000000000000001' group by all)
select org_id, meter, sum(quantity) from hours group by all"""
TOP = """
select user_id, meter, sum(quantity) as quantity from usage
 where realm_id = 'rlm_00000000000000000000000001' and org_id = 'org_000000000000000000000000zf'
 group by all order by 3 desc limit 10"""


def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


sql, repeats = {"hour_to_month": (HOUR_TO_MONTH, 1), "top_10_of_one_organisation": (TOP, 10)}[name]
for turn in range(1, 6):
    began, wall = cpu(), time.monotonic()
    for _ in range(repeats):
        rows = con.execute(sql).fetchall()
    used, wall_ms = (cpu() - began) / repeats, (time.monotonic() - wall) * 1000 / repeats
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{name}_{turn} cpu_s {used:.3f} wall_ms {wall_ms:.0f} peak_mib {peak}")
    print("rows", len(rows), "sum", sum(row[2] for row in rows))
