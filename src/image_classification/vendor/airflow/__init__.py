"""Airflow: what we need of it and what has no public name.

Tried with apache-airflow 3.3.2, its task SDK 1.3.2, the standard provider 1.21.0 and the Celery
provider 3.26.0. Each process imports the module that it needs: every DAG file `task`, which must
stay light; the scheduler `executor`; Celery's workers `celery`; those two also `preload`.
"""
