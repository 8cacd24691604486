"""What a model listened to: which times and frequencies its posterior rests on."""
