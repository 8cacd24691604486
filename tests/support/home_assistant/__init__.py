"""A real, headless Home Assistant for tests: installed, started, onboarded, driven and cleaned up."""
