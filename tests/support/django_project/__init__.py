"""A Django project for tests. It runs in processes of its own, since Django's settings are those of a process."""
