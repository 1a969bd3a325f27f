// The registry that the plugins register with.
#pragma once

#include "refusals.h"
#include "standin.h"

namespace standin {

// The one that getPluginRegistry() gives; this is no call of the client's.
STANDIN_API nvinfer1::IPluginRegistry& registry();

}  // namespace standin
