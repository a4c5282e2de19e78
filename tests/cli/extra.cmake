# The one test of this folder that runs on the emulated device.
if(TEST cli/device)
  set_property(TEST cli/device APPEND PROPERTY LABELS device)
endif()
