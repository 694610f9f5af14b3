import Control
import CWebAssets
import Hummingbird
import ServiceLifecycle
