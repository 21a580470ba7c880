"""The parts of exercises/judge."""
