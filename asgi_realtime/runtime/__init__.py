"""Tools for the event loop: tasks, timers, threads for host code, calls from threads, budgets and turns."""
