package trtllm

// ExitEndsMPI is for tests outside of the package.
const ExitEndsMPI = exitEndsMPI
