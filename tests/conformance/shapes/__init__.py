"""The shapes that agents have in their frameworks' documentation, each behind the same promises."""
