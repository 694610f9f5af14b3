import Kernel
import AsyncHTTPClient
import Subprocess
