/* Of MPI, what the stand-in calls of its own libmpi. */
#ifndef STANDIN_MPI_H
#define STANDIN_MPI_H

#ifdef __cplusplus
extern "C" {
#endif

typedef struct standin_communicator* MPI_Comm;
#define MPI_COMM_WORLD ((MPI_Comm)1)
enum { MPI_SUCCESS = 0, MPI_ERR_OTHER = 16, MPI_THREAD_MULTIPLE = 3 };

int MPI_Init_thread(int* argc, char*** argv, int required, int* provided);
int MPI_Initialized(int* flag);
int MPI_Finalized(int* flag);
int MPI_Finalize(void);
int MPI_Abort(MPI_Comm comm, int status);
int MPI_Comm_rank(MPI_Comm comm, int* rank);
int MPI_Comm_size(MPI_Comm comm, int* size);

#ifdef __cplusplus
}
#endif

#endif
