"""Where blocks live: formats and folders, over the `Files` port; the same on a real disk and a simulated one."""
