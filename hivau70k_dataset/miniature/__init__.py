"""The miniature set: videos of drawn people and places, rendered on the CPU, with exact annotations."""
