"""The windows job: 1-hour revenue by country, by ours and by others, on the same topic."""
