// A build: what TensorRT checks before it compiles, its progress, and a plan in pieces.
#include <algorithm>
#include <chrono>
#include <thread>

#include "builder.h"

namespace standin {
namespace {

// A phase of the build, reported to the monitor until it goes out of scope.
class Phase {
 public:
  Phase(nvinfer1::IProgressMonitor* monitor, const char* name, const char* parent, int32_t steps)
      : monitor_(monitor), name_(name) {
    if (monitor_ != nullptr) monitor_->phaseStart(name, parent, steps);
  }
  Phase(const Phase&) = delete;
  Phase& operator=(const Phase&) = delete;
  ~Phase() {
    if (monitor_ != nullptr) monitor_->phaseFinish(name_);
  }
  void step(int32_t index) {
    if (monitor_ != nullptr && !monitor_->stepComplete(name_, index)) throw Refusal("the build was told to stop");
  }

 private:
  nvinfer1::IProgressMonitor* monitor_;
  const char* name_;
};

std::string plan_of(const Network& network, const Config& config) {
  std::string plan = "stand-in plan of " + network.title() + "\n";
  for (const auto& input : network.inputs()) plan += "input " + input->label() + " " + text(input->inferred()) + "\n";
  for (const Tensor* output : network.outputs()) {
    plan += "output " + output->label() + " " + text(output->inferred()) + "\n";
  }
  plan += std::to_string(network.layers()) + " layers, " + std::to_string(config.profiles().size()) + " profiles\n";
  // Long enough to come in several pieces.
  while (plan.size() < 100000) plan += "................................................................\n";
  return plan;
}

void write(nvinfer1::IStreamWriter& writer, const char* data, std::size_t size, std::size_t piece) {
  for (std::size_t at = 0; at < size; at += piece) {
    const auto bytes = static_cast<int64_t>(std::min(piece, size - at));
    if (writer.write(data + at, bytes) != bytes) throw Refusal("the plan could not be written");
  }
}

}  // namespace

void build(Network& network, Config& config, nvinfer1::IStreamWriter& writer) {
  network.validate();
  if (config.profiles().empty()) Profile().check(network);
  for (const Profile* profile : config.profiles()) profile->check(network);

  const std::string kind = scenario("build");
  const int32_t layers = kind == "slow" ? 300 : static_cast<int32_t>(network.layers());
  Phase whole(config.monitor(), "Building", nullptr, 2);
  {
    Phase tactics(config.monitor(), "Choosing tactics", "Building", layers);
    for (int32_t i = 0; i < layers || kind == "hang"; i++) {
      if (kind == "hang" || kind == "slow") std::this_thread::sleep_for(std::chrono::milliseconds(2));
      tactics.step(std::min(i, layers - 1));
    }
  }
  whole.step(0);

  const std::string plan = plan_of(network, config);
  const std::string asked = scenario("write");
  const std::size_t piece = asked.empty() ? 65536 : std::stoul(asked);
  if (kind == "half") {
    write(writer, plan.data(), plan.size() / 2, piece);
    throw Refusal("the stand-in was told to fail after half of the plan");
  }
  write(writer, plan.data(), plan.size(), piece);
  if (config.cache() != nullptr) config.cache()->time(network.layers());
  whole.step(1);
}

}  // namespace standin
