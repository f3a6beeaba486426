"""Ringfence beside what people use now, measured on one machine. See scripts/bench, which builds what this runs.

The rooms: `systems` starts and stops what is measured; `measuring` runs one workload and looks at the servers meanwhile; `rounds` lets the
systems take turns; `curves` goes through sizes; `results` keeps what was measured; `targets` judges it; `table`, `charts`, `page` and
`publish` show it.
"""
