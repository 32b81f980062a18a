"""Rules from one place to another, JSONPath, and JSON itself: what requests and answers are mapped with."""
