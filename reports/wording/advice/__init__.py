"""What follows for an app in words: advice without load, cards, caveats, an only arm.
May be imported by the rest of `wording`, `render` and `export`."""
