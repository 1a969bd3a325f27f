#include "network.h"

#include <cstring>

#include "attributes.h"
#include "enumerators.h"
#include "guard.h"
#include "layer.h"

namespace trtgo {
namespace tensorrt {
namespace {

std::string quoted(const char* name) { return std::string("\"") + name + "\""; }

template <class Object>
std::unique_ptr<Object> owned(Object* object, const char* operation) {
  if (object == nullptr) throw Failure(failed_status(), operation, with_words(TRTGO_PRODUCT " gave none"));
  return std::unique_ptr<Object>(object);
}

// A failure with where it was and TensorRT's own words.
Failure placed(const std::string& where, const Failure& failure) {
  const int32_t status = failure.status() == TRTGO_INVALID ? failed_status() : failure.status();
  return Failure(status, failure.operation(), with_words(where + ": " + failure.what()));
}

}  // namespace

Network::Network(Library& library, const trtgo_network_options& options) : library_(library) {
  const Call call(library.messages());
  builder_ = library.create_builder();
  // By symbol: the bits differ between versions.
  const auto strongly_typed = 1U << static_cast<uint32_t>(nvinfer1::NetworkDefinitionCreationFlag::kSTRONGLY_TYPED);
  network_ = owned(builder_->createNetworkV2(strongly_typed), "createNetworkV2");
  config_ = owned(builder_->createBuilderConfig(), "createBuilderConfig");
  if (options.threads < 0 || (options.threads > 0 && !builder_->setMaxThreads(options.threads))) {
    throw Failure(TRTGO_INVALID, "setMaxThreads",
                  with_words("a builder cannot have " + std::to_string(options.threads) + " threads"));
  }
  const char* const name = options.name == nullptr ? "" : options.name;
  network_->setName(name);
  if (!logged_errors().empty()) {
    throw Failure(failed_status(), "setName", with_words("the network cannot be called " + quoted(name)));
  }
}

nvinfer1::ITensor& Network::tensor(int32_t id) const {
  if (id < 0 || static_cast<size_t>(id) >= tensors_.size()) {
    throw Failure(TRTGO_INVALID, "tensor",
                  "there is no tensor " + std::to_string(id) + ", only " + std::to_string(tensors_.size()));
  }
  return *tensors_[static_cast<size_t>(id)];
}

void Network::number(nvinfer1::ITensor* tensor, trtgo_tensor* out) {
  const nvinfer1::Dims dims = tensor->getDimensions();
  if (dims.nbDims < 0 || dims.nbDims > nvinfer1::Dims::MAX_DIMS) {
    throw Failure(TRTGO_INVALID, "getDimensions", TRTGO_PRODUCT " found no shape for it");
  }
  *out = trtgo_tensor{};
  out->id = static_cast<int32_t>(tensors_.size());
  out->rank = dims.nbDims;
  for (int32_t i = 0; i < dims.nbDims; i++) out->dims[i] = dims.d[i];
  out->type = name_of(tensor->getType());
  tensors_.push_back(tensor);
}

void Network::add_input(const char* name, const char* type, int32_t rank, const int64_t* dims, const char* const* names,
                        trtgo_tensor* out) {
  if (rank < 0) throw Failure(TRTGO_INVALID, "addInput", "input " + quoted(name) + " has rank " + std::to_string(rank));
  const Call call(library_.messages());
  try {
    const auto data_type = enumerator<nvinfer1::DataType>(type);
    nvinfer1::ITensor* tensor = network_->addInput(name, data_type, make_dims(dims, static_cast<size_t>(rank), "it"));
    if (tensor == nullptr) throw Failure(TRTGO_INVALID, "addInput", TRTGO_PRODUCT " refused it");
    for (int32_t i = 0; names != nullptr && i < rank; i++) {
      if (names[i] != nullptr && *names[i] != 0) tensor->setDimensionName(i, names[i]);
    }
    number(tensor, out);
    if (!logged_errors().empty()) throw Failure(TRTGO_INVALID, "addInput", TRTGO_PRODUCT " logged an error");
  } catch (const Failure& failure) {
    failed_ = "input " + quoted(name);
    throw placed(failed_, failure);
  }
}

void Network::add_layer(const trtgo_layer& description, trtgo_tensor* outputs, int32_t* num_outputs) {
  if (!failed_.empty()) {
    throw Failure(TRTGO_INVALID, "trtgo_network_add_layer", failed_ + " failed, nothing can be added after it");
  }
  const Call call(library_.messages());
  const std::string name = "layer " + quoted(description.name) + " (" + description.kind + ")";
  const size_t before = tensors_.size();
  std::string operation = "trtgo_network_add_layer";
  try {
    Layer layer(*this, description);
    add(layer);
    operation = layer.operation();
    const auto n = static_cast<int32_t>(layer.outputs().size());
    if (n > *num_outputs) {
      throw Failure(TRTGO_INVALID, operation,
                    "it has " + std::to_string(n) + " outputs, there is room for " + std::to_string(*num_outputs));
    }
    for (int32_t i = 0; i < n; i++) {
      nvinfer1::ITensor* tensor = layer.outputs()[static_cast<size_t>(i)];
      if (tensor == nullptr) throw Failure(TRTGO_INVALID, "getOutput", "it has no output " + std::to_string(i));
      number(tensor, &outputs[i]);
    }
    if (!logged_errors().empty()) throw Failure(TRTGO_INVALID, operation, TRTGO_PRODUCT " logged an error");
    *num_outputs = n;
  } catch (const Failure& failure) {
    failed_ = name;
    tensors_.resize(before);
    throw placed(name, failure);
  } catch (...) {
    failed_ = name;
    tensors_.resize(before);
    throw;
  }
}

void Network::mark_output(int32_t id, const char* name) {
  const Call call(library_.messages());
  nvinfer1::ITensor& marked = tensor(id);
  marked.setName(name);
  network_->markOutput(marked);
  if (!logged_errors().empty() || !marked.isNetworkOutput()) {
    throw Failure(failed_status(), "markOutput",
                  with_words("tensor " + std::to_string(id) + " cannot be the output " + quoted(name)));
  }
}

void Network::check_range(const trtgo_range& range) const {
  need(range.input, "setDimensions", "the name of an input");
  if (range.rank > 0) {
    need(range.min, "setDimensions", "a least shape");
    need(range.opt, "setDimensions", "a best shape");
    need(range.max, "setDimensions", "a largest shape");
  }
  for (int32_t i = 0; i < network_->getNbInputs(); i++) {
    const nvinfer1::ITensor* input = network_->getInput(i);
    if (std::strcmp(input->getName(), range.input) != 0) continue;
    const nvinfer1::Dims dims = input->getDimensions();
    bool fits = dims.nbDims == range.rank;
    for (int32_t d = 0; fits && d < dims.nbDims; d++) {
      fits = dims.d[d] == -1 || (range.min[d] == dims.d[d] && range.opt[d] == dims.d[d] && range.max[d] == dims.d[d]);
    }
    if (fits) return;
    throw Failure(
        TRTGO_INVALID, "setDimensions",
        with_words("input " + quoted(range.input) + " is " + describe(dims) + ", its range has other dimensions"));
  }
  throw Failure(TRTGO_INVALID, "setDimensions", "the network has no input " + quoted(range.input));
}

void Network::add_profile(const trtgo_range* ranges, int32_t num_ranges) {
  const Call call(library_.messages());
  nvinfer1::IOptimizationProfile* profile = builder_->createOptimizationProfile();
  if (profile == nullptr) {
    throw Failure(TRTGO_INVALID, "createOptimizationProfile", with_words(TRTGO_PRODUCT " gave none"));
  }
  for (int32_t i = 0; i < num_ranges; i++) {
    const trtgo_range& range = ranges[i];
    check_range(range);
    const struct {
      nvinfer1::OptProfileSelector selector;
      const char* what;
      const int64_t* sizes;
    } parts[] = {{nvinfer1::OptProfileSelector::kMIN, "least", range.min},
                 {nvinfer1::OptProfileSelector::kOPT, "best", range.opt},
                 {nvinfer1::OptProfileSelector::kMAX, "largest", range.max}};
    for (const auto& part : parts) {
      const nvinfer1::Dims dims = make_dims(part.sizes, static_cast<size_t>(range.rank), "a shape");
      if (!profile->setDimensions(range.input, part.selector, dims)) {
        throw Failure(
            TRTGO_INVALID, "setDimensions",
            with_words("input " + quoted(range.input) + " cannot have " + part.what + " shape " + describe(dims)));
      }
    }
  }
  if (!profile->isValid()) {
    throw Failure(TRTGO_INVALID, "isValid",
                  with_words("the profile is not valid: a least, best and largest shape do not follow each other"));
  }
  if (config_->addOptimizationProfile(profile) < 0) {
    throw Failure(TRTGO_INVALID, "addOptimizationProfile", with_words("the profile does not fit the network"));
  }
}

}  // namespace tensorrt
}  // namespace trtgo
