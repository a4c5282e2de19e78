#include <boost/context/fiber.hpp>
