//! Rules, as the server reads and applies them.
