"""What the jobs of flow.py do."""


def add(a, b):
    return a + b


def fail():
    raise ValueError("as it should")
