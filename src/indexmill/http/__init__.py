"""The HTTP layer: the app, its guard and body limits, and the native API. It translates and decides nothing."""
