"""A whole job in one call: in this process, on a study of its own, without a server.

run        rows and the fields of a spec -> the job, its answer and what it leaves (job.py)
  fitted   a protocol that these rows are enough for (protocol.py)
  opened   a folder with database and store, temporary or kept (folder.py)
  work     this process as a worker, others beside it, a bar (working.py)
search     a data file -> the answer in a folder (search.py)
"""
