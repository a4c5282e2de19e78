# cmake -DTESTS=<folder of tests> -DUNIT=<file> -DSOURCES=<list> -P units.cmake: writes a source that has several tests in it.
# What they include stands in front, where it belongs: inside the namespaces its guards leave nothing of it.
set(before "")
set(inside "")
foreach(source IN LISTS SOURCES)
  get_filename_component(folder "${source}" DIRECTORY)
  file(STRINGS "${TESTS}/${source}" lines REGEX "^#(include|if|ifdef|ifndef|else|elif|endif)")
  list(FILTER lines EXCLUDE REGEX "^#include.*\\.def[>\"]") # a table, inside of something
  foreach(line IN LISTS lines)
    string(REGEX REPLACE "^#include \"(.*)\"" "\\1" header "${line}")
    if(EXISTS "${TESTS}/${folder}/${header}")
      set(line "#include \"${folder}/${header}\"")
    endif()
    string(APPEND before "${line}\n")
  endforeach()
  string(MAKE_C_IDENTIFIER "${source}" name)
  string(APPEND inside "namespace of_${name} {\n#include \"${source}\"\n}\n")
endforeach()
file(WRITE "${UNIT}" "${before}\n${inside}")
