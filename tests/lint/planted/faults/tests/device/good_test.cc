// A test of a device.
