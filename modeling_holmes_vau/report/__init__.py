"""What was found in a video, as files for people: a page, a picture, and the numbers behind them."""
