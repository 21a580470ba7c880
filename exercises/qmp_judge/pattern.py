"""What is expected, and how what came differs from it."""

import json

KINDS = {"$string": str, "$int": int, "$list": list, "$object": dict, "$bool": bool}


def difference(pattern, value, path=""):
    """Where a value differs from a pattern, in words, or None.

    A pattern is JSON in which "$string", "$int", "$list", "$object", "$bool" and
    "$any" stand for values of the kind, "$more" for members that do not matter,
    and {"$has": X} for a list with an element like X."""
    here = path or "the message"
    if isinstance(pattern, str) and pattern.startswith("$"):
        kind = KINDS.get(pattern)
        wrong = kind and (not isinstance(value, kind) or (kind is int and isinstance(value, bool)))
        return f"{here} is no {pattern[1:]}" if wrong else None
    if isinstance(pattern, dict) and "$has" in pattern:
        if not isinstance(value, list):
            return f"{here} is no list"
        if all(difference(pattern["$has"], element) for element in value):
            return f"{here} has no element {json.dumps(pattern['$has'])}"
        return None
    if isinstance(pattern, dict):
        if not isinstance(value, dict):
            return f"{here} is no object"
        for name, part in pattern.items():
            if name == "$more":
                continue
            if name not in value:
                return f"{here} has no member '{name}'"
            found = difference(part, value[name], f"{path}.{name}" if path else name)
            if found:
                return found
        extra = [name for name in value if name not in pattern]
        return f"{here} has a member '{extra[0]}' too many" if extra and "$more" not in pattern else None
    if isinstance(pattern, list):
        if not isinstance(value, list) or len(value) != len(pattern):
            return f"{here} is not a list of {len(pattern)}"
        parts = (difference(part, element, f"{path}[{at}]")
                 for at, (part, element) in enumerate(zip(pattern, value)))
        return next((found for found in parts if found), None)
    same = type(pattern) is type(value) and pattern == value
    return None if same else f"{here} is {json.dumps(value)} and not {json.dumps(pattern)}"
