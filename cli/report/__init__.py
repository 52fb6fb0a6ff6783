"""`chainnode report`: all offline checks of one document, written down for people who were not there."""
