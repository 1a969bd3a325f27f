// What each layer gives. The rules are those of a strongly typed network, as far as they are known from
// TensorRT's headers and from what its compilers refuse; csrc/tensorrt's client compares every answer with
// its own inference, so a wrong rule on either side shows.
#include "inference.h"

#include <algorithm>
#include <utility>

#include "layers.h"

namespace standin {
namespace {

using nvinfer1::ElementWiseOperation;
using nvinfer1::MatrixOperation;
using nvinfer1::ReduceOperation;
using nvinfer1::UnaryOperation;
using Values = std::vector<int64_t>;

int64_t volume(const Dims& dims) {
  int64_t n = 1;
  for (int32_t i = 0; i < dims.nbDims; i++) n *= dims.d[i];
  return n;
}

bool dynamic(const Dims& dims) {
  return std::any_of(dims.d, dims.d + dims.nbDims, [](int64_t n) { return n < 0; });
}

Dims to_dims(const Values& values) {
  check(values.size() <= 8, "more than 8 dimensions");
  Dims dims{};
  dims.nbDims = static_cast<int32_t>(values.size());
  for (std::size_t i = 0; i < values.size(); i++) dims.d[i] = values[i] == kUnknown ? -1 : values[i];
  return dims;
}

Dims broadcast(const Dims& a, const Dims& b) {
  check(a.nbDims == b.nbDims, "ranks of " + json(a) + " and " + json(b) + " differ");
  Dims dims = a;
  for (int32_t i = 0; i < a.nbDims; i++) {
    check(a.d[i] == 1 || b.d[i] == 1 || agree(a.d[i], b.d[i]), json(a) + " and " + json(b) + " do not broadcast");
    dims.d[i] = a.d[i] == 1 || (a.d[i] < 0 && b.d[i] > 1) ? b.d[i] : a.d[i];
  }
  return dims;
}

Dims permuted(const Dims& dims, const std::optional<nvinfer1::Permutation>& order) {
  if (!order) return dims;
  Dims to = dims;
  std::vector<bool> used(8);
  for (int32_t i = 0; i < dims.nbDims; i++) {
    const int32_t from = order->order[i];
    check(from >= 0 && from < dims.nbDims && !used[static_cast<std::size_t>(from)],
          "transposes " + json(dims) + " by what is no permutation");
    used[static_cast<std::size_t>(from)] = true;
    to.d[i] = dims.d[from];
  }
  return to;
}

int64_t computed(ElementWiseOperation op, int64_t a, int64_t b) {
  if (a == kUnknown || b == kUnknown) return kUnknown;
  switch (op) {
    case ElementWiseOperation::kSUM: return a + b;
    case ElementWiseOperation::kSUB: return a - b;
    case ElementWiseOperation::kPROD: return a * b;
    case ElementWiseOperation::kMAX: return std::max(a, b);
    case ElementWiseOperation::kMIN: return std::min(a, b);
    case ElementWiseOperation::kDIV: return b == 0 ? kUnknown : a / b;
    default: return kUnknown;
  }
}

void check_scale(const Inferred& x, const Inferred& scale, int32_t axis) {
  const Dims& s = scale.dims;
  const bool single = s.nbDims == 0 || (s.nbDims == 1 && s.d[0] == 1);
  const bool along = s.nbDims == 1 && axis >= 0 && axis < x.dims.nbDims && agree(s.d[0], x.dims.d[axis]);
  bool blocks = s.nbDims == x.dims.nbDims && s.nbDims > 1;
  for (int32_t i = 0; blocks && i < s.nbDims; i++) blocks = s.d[i] > 0 && x.dims.d[i] % s.d[i] == 0;
  check(single || along || blocks,
        "a scale " + text(scale) + " for " + text(x) + " along axis " + std::to_string(axis));
}

}  // namespace

std::vector<Inferred> Constant::infer() const {
  check(!dynamic(dims_) && volume(dims_) == weights_.count,
        std::to_string(weights_.count) + " values for " + json(dims_));
  return one(weights_.type, dims_, values_);
}

std::vector<Inferred> Cast::infer() const {
  const Inferred& x = in(0);
  for (const DataType type : {x.type, to_}) {
    check(floating(type) || integer(type) || type == DataType::kBOOL, std::string("casts ") + enumerator(type));
  }
  return one(to_, x.dims, integer(x.type) && integer(to_) ? x.values : std::nullopt);
}

std::vector<Inferred> ElementWise::infer() const {
  const Inferred &x = in(0), &y = in(1);
  check(x.type == y.type, text(x) + " and " + text(y) + " have different types");
  const Dims dims = broadcast(x.dims, y.dims);
  DataType type = x.type;
  switch (op_) {
    case ElementWiseOperation::kLESS:
    case ElementWiseOperation::kGREATER:
    case ElementWiseOperation::kEQUAL: type = DataType::kBOOL; break;
    case ElementWiseOperation::kAND:
    case ElementWiseOperation::kOR:
    case ElementWiseOperation::kXOR: check(type == DataType::kBOOL, "logic of " + text(x)); break;
    default: check(floating(type) || integer(type), std::string(enumerator(op_)) + " of " + text(x));
  }
  std::optional<Values> values;
  if (x.values && y.values && integer(type) && (x.values->size() == y.values->size())) {
    values.emplace();
    for (std::size_t i = 0; i < x.values->size(); i++) {
      values->push_back(computed(op_, (*x.values)[i], (*y.values)[i]));
    }
  }
  return one(type, dims, std::move(values));
}

std::vector<Inferred> Unary::infer() const {
  const Inferred& x = in(0);
  const bool fits = op_ == UnaryOperation::kNOT ? x.type == DataType::kBOOL
                                                : floating(x.type) || (op_ == UnaryOperation::kNEG && integer(x.type));
  check(fits, std::string(enumerator(op_)) + " of " + text(x));
  return one(x.type, x.dims);
}

std::vector<Inferred> Activation::infer() const {
  const Inferred& x = in(0);
  check(floating(x.type), "activation of " + text(x));
  return one(x.type, x.dims);
}

std::vector<Inferred> MatrixMultiply::infer() const {
  const Inferred &x = in(0), &y = in(1);
  check(x.type == y.type && floating(x.type), "multiplies " + text(x) + " by " + text(y));
  const int32_t n = x.dims.nbDims;
  check(n >= 2 && n == y.dims.nbDims, "multiplies " + text(x) + " by " + text(y));
  Dims a = x.dims, b = y.dims;
  if (op0_ == MatrixOperation::kTRANSPOSE) std::swap(a.d[n - 2], a.d[n - 1]);
  if (op1_ == MatrixOperation::kTRANSPOSE) std::swap(b.d[n - 2], b.d[n - 1]);
  check(agree(a.d[n - 1], b.d[n - 2]), "multiplies " + text(x) + " by " + text(y) + ": inner dimensions differ");
  const int64_t rows = a.d[n - 2], columns = b.d[n - 1];
  a.nbDims = b.nbDims = n - 2;
  Dims dims = broadcast(a, b);
  dims.nbDims = n;
  dims.d[n - 2] = rows;
  dims.d[n - 1] = columns;
  return one(x.type, dims);
}

std::vector<Inferred> Gather::infer() const {
  const Inferred &x = in(0), &indices = in(1);
  check(integer(indices.type), "indices are " + text(indices));
  check(axis_ >= 0 && axis_ < x.dims.nbDims, "gathers along axis " + std::to_string(axis_) + " of " + text(x));
  Values dims(x.dims.d, x.dims.d + axis_);
  dims.insert(dims.end(), indices.dims.d, indices.dims.d + indices.dims.nbDims);
  dims.insert(dims.end(), x.dims.d + axis_ + 1, x.dims.d + x.dims.nbDims);
  std::optional<Values> values;
  if (x.values && indices.values && x.dims.nbDims == 1) {
    values.emplace();
    for (const int64_t i : *indices.values) {
      const bool known = i >= 0 && i < static_cast<int64_t>(x.values->size());
      values->push_back(known ? (*x.values)[static_cast<std::size_t>(i)] : kUnknown);
    }
  }
  return one(x.type, to_dims(dims), std::move(values));
}

std::vector<Inferred> Concatenation::infer() const {
  Inferred all = in(0);
  check(axis_ >= 0 && axis_ < all.dims.nbDims, "joins along axis " + std::to_string(axis_) + " of " + text(all));
  for (std::size_t i = 1; i < inputs().size(); i++) {
    const Inferred& x = in(i);
    check(x.type == all.type && x.dims.nbDims == all.dims.nbDims, "joins " + text(all) + " and " + text(x));
    for (int32_t d = 0; d < x.dims.nbDims; d++) {
      int64_t& size = all.dims.d[d];
      if (d != axis_) {
        check(agree(size, x.dims.d[d]), "joins " + text(all) + " and " + text(x));
      } else {
        size = size < 0 || x.dims.d[d] < 0 ? -1 : size + x.dims.d[d];
      }
    }
    if (all.values && x.values) {
      all.values->insert(all.values->end(), x.values->begin(), x.values->end());
    } else {
      all.values.reset();
    }
  }
  if (all.dims.nbDims != 1) all.values.reset();
  return {all};
}

Inferred Shuffle::reshaped(const Inferred& from) const {
  Inferred to = from;
  if (has(1)) {
    const Inferred& shape = in(1);
    check(integer(shape.type) && shape.dims.nbDims == 1 && shape.dims.d[0] >= 0, "reshapes to a shape " + text(shape));
    to.dims = to_dims(shape.values ? *shape.values : Values(static_cast<std::size_t>(shape.dims.d[0]), kUnknown));
  } else if (reshape_) {
    to.dims = *reshape_;
  } else {
    return to;
  }
  int64_t wild = -1, rest = 1;
  for (int32_t i = 0; i < to.dims.nbDims; i++) {
    int64_t& size = to.dims.d[i];
    if (size == 0 && zero_is_placeholder_) {
      check(i < from.dims.nbDims, "a placeholder beyond the rank of " + text(from));
      size = from.dims.d[i];
    }
    if (size == -1) {
      check(wild < 0 || has(1), "two sizes of -1 in " + json(to.dims));
      wild = i;
    } else {
      rest *= size;
    }
  }
  if (dynamic(from.dims)) return to;
  const int64_t elements = volume(from.dims);
  const bool fits = wild >= 0 ? rest != 0 && elements % rest == 0 : elements == rest;
  check(has(1) || fits, "reshapes " + text(from) + " to " + json(to.dims) + ": the number of elements differs");
  if (wild >= 0 && !has(1)) to.dims.d[wild] = elements / rest;
  return to;
}

std::vector<Inferred> Shuffle::infer() const {
  Inferred x = in(0);
  x.dims = permuted(x.dims, first_);
  x = reshaped(x);
  x.dims = permuted(x.dims, second_);
  if (x.dims.nbDims > 1) x.values.reset();
  return {x};
}

// Where an input replaces a parameter, its values, as far as they are known.
std::vector<int64_t> Slice::parameter(std::size_t input, const Dims& fixed) const {
  if (!has(input)) return Values(fixed.d, fixed.d + fixed.nbDims);
  const Inferred& t = in(input);
  check(integer(t.type) && t.dims.nbDims == 1 && t.dims.d[0] >= 0, "slices by " + text(t));
  return t.values ? *t.values : Values(static_cast<std::size_t>(t.dims.d[0]), kUnknown);
}

std::vector<Inferred> Slice::infer() const {
  const Inferred& x = in(0);
  const Values start = parameter(1, start_), size = parameter(2, size_), stride = parameter(3, stride_);
  const auto rank = static_cast<std::size_t>(x.dims.nbDims);
  check(start.size() == rank && size.size() == rank && stride.size() == rank,
        "slices " + text(x) + " with " + std::to_string(size.size()) + " sizes");
  for (std::size_t i = 0; i < rank; i++) {
    if (start[i] == kUnknown || size[i] == kUnknown || stride[i] == kUnknown || x.dims.d[i] < 0) continue;
    if (mode_ != nvinfer1::SampleMode::kSTRICT_BOUNDS || size[i] == 0) continue;
    const int64_t last = start[i] + (size[i] - 1) * stride[i];
    check(size[i] > 0 && start[i] >= 0 && start[i] < x.dims.d[i] && last >= 0 && last < x.dims.d[i],
          "slices " + text(x) + " beyond its dimension " + std::to_string(i));
  }
  std::optional<Values> values;
  if (x.values && rank == 1 && start[0] != kUnknown && size[0] != kUnknown && stride[0] != kUnknown) {
    values.emplace();
    for (int64_t i = 0; i < size[0]; i++) {
      const int64_t at = start[0] + i * stride[0];
      const bool known = at >= 0 && at < static_cast<int64_t>(x.values->size());
      values->push_back(known ? (*x.values)[static_cast<std::size_t>(at)] : kUnknown);
    }
  }
  return one(x.type, to_dims(size), std::move(values));
}

std::vector<Inferred> Reduce::infer() const {
  const Inferred& x = in(0);
  check(floating(x.type) || (integer(x.type) && op_ != ReduceOperation::kAVG),
        std::string(enumerator(op_)) + " of " + text(x));
  check(axes_ != 0 && axes_ >> x.dims.nbDims == 0, "reduces axes of " + text(x) + " that it does not have");
  Values dims;
  for (int32_t i = 0; i < x.dims.nbDims; i++) {
    const bool over = ((axes_ >> i) & 1U) != 0;
    if (!over || keep_) dims.push_back(over ? 1 : x.dims.d[i]);
  }
  return one(x.type, to_dims(dims));
}

std::vector<Inferred> Normalization::infer() const {
  const Inferred& x = in(0);
  check(floating(x.type) && axes_ != 0 && axes_ >> x.dims.nbDims == 0, "normalises " + text(x));
  for (const std::size_t i : {std::size_t{1}, std::size_t{2}}) {
    const Inferred& t = in(i);
    check(t.type == x.type && t.dims.nbDims == x.dims.nbDims, "normalises " + text(x) + " with " + text(t));
    for (int32_t d = 0; d < x.dims.nbDims; d++) {
      const bool over = ((axes_ >> d) & 1U) != 0;
      check(over ? agree(t.dims.d[d], x.dims.d[d]) : t.dims.d[d] == 1, "normalises " + text(x) + " with " + text(t));
    }
  }
  return one(x.type, x.dims);
}

std::vector<Inferred> Select::infer() const {
  const Inferred &condition = in(0), &x = in(1), &y = in(2);
  check(condition.type == DataType::kBOOL && x.type == y.type,
        "selects by " + text(condition) + " from " + text(x) + " and " + text(y));
  return one(x.type, broadcast(condition.dims, broadcast(x.dims, y.dims)));
}

std::vector<Inferred> Quantize::infer() const {
  const Inferred &x = in(0), &scale = in(1);
  check(floating(x.type) && scale.type == x.type && (to_ == DataType::kFP8 || to_ == DataType::kINT8),
        "quantises " + text(x) + " with " + text(scale) + " to " + enumerator(to_));
  check_scale(x, scale, axis_);
  return one(to_, x.dims);
}

std::vector<Inferred> Dequantize::infer() const {
  const Inferred &x = in(0), &scale = in(1);
  const bool narrow = x.type == DataType::kFP8 || x.type == DataType::kINT8 || x.type == DataType::kINT4;
  check(narrow && floating(to_) && scale.type == to_,
        "dequantises " + text(x) + " with " + text(scale) + " to " + enumerator(to_));
  check_scale(x, scale, axis_);
  return one(to_, x.dims);
}

std::vector<Inferred> Shape::infer() const {
  const Dims& dims = in(0).dims;
  Values values;
  for (int32_t i = 0; i < dims.nbDims; i++) values.push_back(dims.d[i] < 0 ? kUnknown : dims.d[i]);
  Dims rank{};
  rank.nbDims = 1;
  rank.d[0] = dims.nbDims;
  return one(DataType::kINT64, rank, std::move(values));
}

std::vector<Inferred> Fill::infer() const {
  if (!has(0)) return one(to_, dims_);
  const Inferred& shape = in(0);
  check(integer(shape.type) && shape.dims.nbDims == 1 && shape.dims.d[0] >= 0, "fills a shape " + text(shape));
  for (const std::size_t i : {std::size_t{1}, std::size_t{2}}) {
    check(!has(i) || in(i).type == to_, std::string("fills ") + enumerator(to_) + " from another type");
  }
  return one(to_, to_dims(shape.values ? *shape.values : Values(static_cast<std::size_t>(shape.dims.d[0]), kUnknown)));
}

}  // namespace standin
