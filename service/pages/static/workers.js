/** The workers, as they are now. */
import { keepFresh } from "./refresh.js";

keepFresh(3);
