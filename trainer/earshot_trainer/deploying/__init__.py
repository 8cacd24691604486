"""Models to the nodes: releases in the home, bundles over HTTP, offers over MQTT, canaries, rollback."""
