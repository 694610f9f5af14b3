import Kernel
import Mustache
